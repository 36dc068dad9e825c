"""The chat on the shop's own site: the one channel of which we own both ends. See PROTOCOL.md."""

from connectors.webchat.connector import WebChat

__all__ = ["WebChat"]
