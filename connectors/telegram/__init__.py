"""Telegram: bots that customers write to, and business accounts that a bot answers for.

The provider's library is slow to load, so nothing here needs it before there is a channel.
"""

from connectors.telegram.capabilities import CHANNEL_TYPE
from shared.connector import Connector

__all__ = ["CHANNEL_TYPE", "load_connector"]


def load_connector() -> type[Connector]:
    from connectors.telegram.connector import Telegram

    return Telegram
