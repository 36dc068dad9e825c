"""WhatsApp: numbers of the WhatsApp Business Platform (Cloud API)."""

from connectors.whatsapp.capabilities import CHANNEL_TYPE
from shared.connector import Connector

__all__ = ["CHANNEL_TYPE", "load_connector"]


def load_connector() -> type[Connector]:
    from connectors.whatsapp.connector import WhatsApp

    return WhatsApp
