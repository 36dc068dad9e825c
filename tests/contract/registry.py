"""Every connector that the suites hold to the contract. A new channel adds its case to `CASES`.

A case says what cannot be seen from outside: a valid configuration with secrets that can be recognised, how the
provider signs, what it sends, who stands in for it, and where its answers mean something else than the table says.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue, SecretStr

from connectors.webchat.config import WebChatConfig
from connectors.webchat.connector import WebChat
from shared.connector import Connector, Dial, Hook
from shared.content import Buttons, Content, Location, Media, Option, Text
from shared.errors import SendError
from shared.events import Address
from shared.model import StrictModel
from shared.simulator import Fact, Fault, Simulator
from tests.contract.parrot import ParrotConnector, ParrotSimulator
from tests.contract.parrot.config import ParrotConfig
from tests.contract.parrot.connector import SIGNATURE


@dataclass(frozen=True)
class Hooks:
    """A channel that calls us. `samples` are bodies with events and show every receipt that the channel declares."""

    sign: Callable[[bytes], Hook]
    """A request of the provider around any body, validly signed."""
    signature_header: str
    samples: tuple[bytes, ...]
    ignored: tuple[bytes, ...] = ()
    """Bodies that are the provider's and of no interest."""
    garbage: tuple[bytes, ...] = ()
    """Bodies that are never the provider's, beside those that are nobody's."""
    covers_body: bool = True
    """False where the provider sends a fixed word instead of a signature."""
    facts: tuple[Fact, ...] = ()
    """What the simulator can tell, in any batches."""
    batch: int = 4
    """The most facts that the provider tells in one request."""


@dataclass(frozen=True)
class Driver:
    """How to drive the channel. `contents` has one of each kind that the channel declares."""

    address: Address
    contents: tuple[Content, ...]
    answers: Mapping[Fault, type[SendError]] = field(default_factory=dict)
    """Where the provider documents what an answer means, and it is not what `EXPECTED` allows."""
    known: str = "x1"
    """The external id of a message to which everything can be done that is declared."""
    notes: Mapping[str, JsonValue] = field(default_factory=dict)
    """The context of its conversation."""


@dataclass(frozen=True, repr=False)
class ConnectorCase:
    """`hooks` and `simulator` are None for a channel with a transport of its own."""

    connector: type[Connector]
    config: Callable[[], StrictModel]
    secrets: tuple[str, ...]
    driver: Driver
    hooks: Hooks | None = None
    simulator: Callable[[], Simulator] | None = None
    dial: Dial | None = None
    """The way to a server that stands in for the provider, where it is no web server."""
    other_secrets: Callable[[], StrictModel] | None = None
    """The configuration with other secrets, where not any text can be one."""

    def __repr__(self) -> str:
        return self.connector.channel_type.name


ACCOUNT: Final = "pirates"
TOKEN: Final = "canary-token-53c0de"
SIGNING_SECRET: Final = "canary-signing-1f7a9b"
AT: Final = 1_790_000_000_123

PARROT_MESSAGES: Final[tuple[Fact, ...]] = (
    {"id": "a1", "from": "ann", "at": AT, "type": "text", "text": "Is it in stock?", "name": "Ann"},
    {"id": "a2", "from": "ann", "at": AT + 1, "type": "picture", "picture": {"file": "f1", "mime": "image/png"}},
    {"id": "a3", "from": "bob", "at": AT + 2, "type": "place", "place": {"latitude": 1.5, "longitude": -2}},
    {"id": "a4", "from": "bob", "at": AT + 3, "type": "dance", "quotes": "a3"},
)
PARROT_RECEIPTS: Final[tuple[Fact, ...]] = (
    {"id": "p1", "to": "ann", "at": AT + 4, "status": "delivered"},
    {"id": "p2", "to": "ann", "at": AT + 5, "status": "read"},
    {"id": "p3", "to": "bob", "at": AT + 6, "status": "failed", "code": "deaf"},
)


def parrot_config() -> ParrotConfig:
    return ParrotConfig(account=ACCOUNT, token=SecretStr(TOKEN), signing_secret=SecretStr(SIGNING_SECRET))


def parrot_simulator() -> ParrotSimulator:
    return ParrotSimulator(account=ACCOUNT, token=TOKEN, signing_secret=SIGNING_SECRET)


PARROT: Final = ConnectorCase(
    connector=ParrotConnector,
    config=parrot_config,
    secrets=(TOKEN, SIGNING_SECRET),
    driver=Driver(
        address=Address(channel="parrot", account=ACCOUNT, peer="ann"),
        contents=(
            Text(text="It is."),
            Media(media="image", attachment="att_1", mime="image/png", size=12, caption="This one"),
            Location(latitude=52.5, longitude=13.4),
            Buttons(text="Which?", options=(Option(id="r", label="Red"), Option(id="b", label="Blue"))),
        ),
    ),
    hooks=Hooks(
        sign=parrot_simulator().sign,
        signature_header=SIGNATURE,
        samples=(
            parrot_simulator().hook([*PARROT_MESSAGES, *PARROT_RECEIPTS]).body,
            parrot_simulator().hook(PARROT_MESSAGES[:1]).body,
        ),
        ignored=(
            parrot_simulator().hook([]).body,
            json.dumps({"account": ACCOUNT, "weather": "fine"}).encode(),
            parrot_simulator().hook([{"id": "p9", "to": "ann", "at": AT, "status": "overheard"}]).body,
        ),
        facts=(*PARROT_MESSAGES, *PARROT_RECEIPTS),
    ),
    simulator=parrot_simulator,
)

WEBCHAT_KEY: Final = "canary-visitors-9d41c2"

WEBCHAT: Final = ConnectorCase(
    connector=WebChat,
    config=lambda: WebChatConfig(signing_key=SecretStr(WEBCHAT_KEY)),
    secrets=(WEBCHAT_KEY,),
    driver=Driver(
        address=Address(channel="webchat", account="chn_contract", peer="vis_1"), contents=(Text(text="It is."),)
    ),
)

from tests.connectors.email.case import EMAIL  # noqa: E402 - a case is made of the classes above
from tests.connectors.telegram.case import TELEGRAM  # noqa: E402
from tests.connectors.whatsapp.case import WHATSAPP  # noqa: E402

CASES: Final[tuple[ConnectorCase, ...]] = (PARROT, WEBCHAT, EMAIL, TELEGRAM, WHATSAPP)
