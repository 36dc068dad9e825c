"""WhatsApp for the contract suite."""

from typing import Final

from pydantic import SecretStr

from connectors.whatsapp.connector import SIGNATURE, WhatsApp
from shared.content import Album, Buttons, ContactCard, Location, Media, Option, Reaction, Template, Text
from shared.errors import AuthExpired, Rejected
from shared.events import Address
from shared.simulator import Fault
from tests.connectors.whatsapp.given import (
    ANA,
    APP_SECRET,
    FACTS,
    NUMBER,
    QUESTION,
    TOKEN,
    VERIFY_TOKEN,
    value,
    webhook,
    whatsapp_config,
    whatsapp_simulator,
)
from tests.contract.registry import ConnectorCase, Driver, Hooks

PICTURE: Final = Media(media="image", attachment="att_1", mime="image/png")

WHATSAPP: Final[ConnectorCase] = ConnectorCase(
    connector=WhatsApp,
    config=whatsapp_config,
    secrets=(TOKEN, APP_SECRET, VERIFY_TOKEN),
    other_secrets=lambda: whatsapp_config(app_secret=SecretStr("0" * 32)),
    driver=Driver(
        address=Address(channel="whatsapp", account=NUMBER, peer=ANA),
        contents=(
            Text(text="It is.", html="It <b>is</b>."),
            *(
                Media(media=kind, attachment="att_1", size=12)
                for kind in ("image", "audio", "voice", "video", "sticker", "file")
            ),
            Album(items=(PICTURE, PICTURE.model_copy(update={"attachment": "att_2"}))),
            Location(latitude=52.5, longitude=13.4, label="The shop, Ilica 1"),
            ContactCard(name="Olga", phones=("+15551234",), emails=("olga@shop.example",)),
            Buttons(text="Which?", options=(Option(id="r", label="Red"), Option(id="b", label="Blue"))),
            Template(name="welcome", language="en"),
            Reaction(emoji="👍", target=QUESTION),
        ),
        answers={Fault.FORBIDDEN: AuthExpired, Fault.BAD_REQUEST: Rejected},
        known=QUESTION,
        notes={"last": QUESTION},
    ),
    hooks=Hooks(
        sign=whatsapp_simulator().sign,
        signature_header=SIGNATURE,
        samples=(
            whatsapp_simulator().hook(FACTS).body,
            whatsapp_simulator().hook(FACTS[:1]).body,
            webhook({"field": "account_update", "value": {"event": "ACCOUNT_DELETED"}}),
        ),
        ignored=(
            webhook({"field": "history", "value": value(history=[{"threads": []}])}),
            webhook(statuses=[{"id": "wacid.1", "type": "call", "status": "RINGING"}], field="calls"),
            webhook(messages=[]),
            b'{"object": "whatsapp_business_account", "entry": []}',
        ),
        garbage=(b"{}", b'{"object": "whatsapp_business_account"}', b'{"entry": "none"}'),
        facts=FACTS,
        batch=8,
    ),
    simulator=whatsapp_simulator,
)
