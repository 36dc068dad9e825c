"""Telegram for the contract suite."""

import json
from typing import Final

from pydantic import SecretStr

from connectors.telegram.config import PROOF_HEADER
from connectors.telegram.connector import Telegram
from shared.content import Album, Buttons, ContactCard, Location, Media, Option, Reaction, Text
from shared.events import Address
from tests.connectors.telegram.given import (
    ANN,
    BOT,
    CONNECTION,
    FACTS,
    TOKEN,
    WEBHOOK_SECRET,
    message,
    telegram_config,
    telegram_simulator,
    update,
)
from tests.contract.registry import ConnectorCase, Driver, Hooks

TELEGRAM: Final[ConnectorCase] = ConnectorCase(
    connector=Telegram,
    config=telegram_config,
    secrets=(TOKEN, WEBHOOK_SECRET),
    other_secrets=lambda: telegram_config(token=SecretStr("7001:another"), webhook_secret=SecretStr("0" * 32)),
    driver=Driver(
        address=Address(channel="telegram", account=BOT, peer=str(ANN)),
        contents=(
            Text(text="It is.", html="It <b>is</b>."),
            *(
                Media(media=kind, attachment="att_1", size=12)
                for kind in ("image", "audio", "voice", "video", "sticker", "file")
            ),
            Album(items=(Media(media="image", attachment="att_1"), Media(media="video", attachment="att_2"))),
            Location(latitude=52.5, longitude=13.4, label="The shop"),
            ContactCard(name="Olga", phones=("+15551234",)),
            Buttons(text="Which?", options=(Option(id="r", label="Red"), Option(id="b", label="Blue"))),
            Reaction(emoji="👍", target="1"),
        ),
        known=f"{CONNECTION}:1",
        notes={"business": CONNECTION},
    ),
    hooks=Hooks(
        sign=telegram_simulator().sign,
        signature_header=PROOF_HEADER,
        samples=tuple(json.dumps(fact).encode() for fact in FACTS),
        ignored=(
            json.dumps(update(20, "channel_post", **message(1, text="News"))).encode(),
            json.dumps(update(21, "message", **message(2, pinned_message=message(1, text="Old")))).encode(),
            json.dumps(update(22, "hologram", light="blue")).encode(),
            json.dumps({"update_id": 23}).encode(),
        ),
        covers_body=False,
        facts=FACTS,
        batch=1,
    ),
    simulator=telegram_simulator,
)
