"""E-mail: mailboxes read by IMAP or handed over by a hook, answered by SMTP."""

from connectors.email.capabilities import CHANNEL_TYPE
from shared.connector import Connector

__all__ = ["CHANNEL_TYPE", "load_connector"]


def load_connector() -> type[Connector]:
    from connectors.email.connector import Email

    return Email
