"""The typed, asynchronous client of the Shopbell API."""

from shopbell_client import content, errors, models
from shopbell_client.client import Client
from shopbell_client.content import *  # noqa: F403
from shopbell_client.errors import *  # noqa: F403
from shopbell_client.events import ConnectionState
from shopbell_client.models import *  # noqa: F403
from shopbell_client.sse import ServerSentEvent, SSEParser

__all__ = ["Client", "ConnectionState", "SSEParser", "ServerSentEvent"]
__all__ += content.__all__
__all__ += errors.__all__
__all__ += models.__all__
