"""`shopbell openapi`: the contract as a file, without a database and without a server."""

import json

from obstore.store import MemoryStore

from gateway.app import build_gateway
from gateway.core import Core
from gateway.database import Database
from gateway.events.tail import FeedTail
from services.wiring import channel_types
from shared.bus import LocalBus
from shared.clock import system_clock
from shared.files import FileStore
from shared.settings import Settings


def openapi_json() -> str:
    """OpenAPI 3.1 of everything under `/v1`, the same on every machine."""
    settings = Settings.model_construct()
    db, bus = Database("postgresql://nowhere/none", pool=4), LocalBus()
    tail, files = FeedTail(db, bus), FileStore(MemoryStore())
    core = Core(db, bus, settings, system_clock, channel_types(), tail, b"no secret: nothing is signed", files)
    return json.dumps(build_gateway(core).app.openapi(), indent=2, ensure_ascii=False)
