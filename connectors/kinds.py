"""The kinds of channel there are: as data at once, as code when the first channel of the kind is at work.

What a kind needs may be heavy to load (a provider's whole vocabulary), and most shops use few of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shared.connector import ChannelType, Connector


@dataclass(frozen=True)
class Kind:
    """A channel type, and the way to its connector."""

    channel_type: ChannelType
    load: Callable[[], type[Connector]]
    serves: bool = False
    """Whether it has addresses of its own beside `/hooks`: its code is then needed from the start."""
    listens: bool = False
    """Whether its channels have to be attended to from the start: they are polled, or set up at the provider."""


def loaded(connector: type[Connector], *, serves: bool = False, listens: bool = False) -> Kind:
    """The kind of a connector that is here already."""
    return Kind(connector.channel_type, lambda: connector, serves, listens)
