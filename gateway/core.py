"""What every part of the gateway is given: one value, made once, passed in."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.database import Database
from gateway.events.tail import FeedTail
from shared.bus import Bus
from shared.clock import Clock
from shared.connector import ChannelType
from shared.files import FileStore
from shared.settings import Settings
from shared.signing import derive_key


@dataclass(frozen=True)
class Core:
    """The gateway's surroundings. `types` are the kinds of channel that exist, as data."""

    db: Database
    bus: Bus
    settings: Settings
    clock: Clock
    types: Mapping[str, ChannelType]
    tail: FeedTail
    master_key: bytes
    files: FileStore

    def key(self, purpose: str) -> bytes:
        return derive_key(self.master_key, purpose)
