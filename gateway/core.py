"""What every part of the gateway is given: one value, made once, passed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.database import Database
from gateway.events.tail import FeedTail
from gateway.files.links import Links
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

    @cached_property
    def links(self) -> Links:
        return Links(self.key("file links"), self.base_url, self.clock)

    @property
    def base_url(self) -> str:
        """How the outside reaches us."""
        return self.settings.public_url or f"http://{self.settings.host}:{self.settings.port}"

    def key(self, purpose: str) -> bytes:
        return derive_key(self.master_key, purpose)
