"""What is wrong in words, templates page by page, settings, and who may speak."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.connector import Hook
from shared.errors import AuthExpired, BadSignature, Malformed
from shared.simulator import Fault
from tests.connectors.whatsapp.given import (
    SECRETS,
    TOKEN,
    VERIFY_TOKEN,
    connect,
    template,
    whatsapp_config,
    whatsapp_simulator,
)


@pytest.fixture
def server() -> WhatsAppSimulator:
    return whatsapp_simulator()


async def problems(server: WhatsAppSimulator, **port: Any) -> str:
    return " | ".join((await connect(server, **port).check()).problems)


async def test_a_number_in_good_order_has_no_problems(server: WhatsAppSimulator) -> None:
    assert await problems(server) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "PENDING"}, "not registered"),
        ({"status": "DISCONNECTED"}, "register it in WhatsApp Manager"),
        ({"platform_type": "ON_PREMISE"}, "not registered"),
        ({"status": "BANNED"}, "stopped the number (banned)"),
        ({"status": "FLAGGED"}, "report or block"),
        ({"quality_rating": "RED"}, "report or block"),
        ({"name_status": "DECLINED"}, "display name"),
    ],
)
async def test_what_is_wrong_with_the_number_is_named(
    server: WhatsAppSimulator, facts: dict[str, Any], words: str
) -> None:
    server.number_facts |= facts
    assert words in await problems(server)


async def test_an_expired_token_is_named(server: WhatsAppSimulator) -> None:
    server.script([Fault.UNAUTHORIZED])
    found = await problems(server)
    assert "System users" in found
    assert TOKEN not in found


async def test_a_wrong_id_is_named(server: WhatsAppSimulator) -> None:
    assert "compare both ids" in await problems(server, config=whatsapp_config(phone_number_id="31337"))
    assert "compare both ids" in await problems(server, config=whatsapp_config(waba_id="31337"))


async def test_a_webhook_that_is_not_subscribed_is_named(server: WhatsAppSimulator) -> None:
    server.subscribed = False
    assert "not subscribed" in await problems(server)


@pytest.mark.parametrize("url", [None, "http://shop.example/hooks/whatsapp/chn_1"])
async def test_an_address_that_meta_cannot_call_is_named(server: WhatsAppSimulator, url: str | None) -> None:
    assert "SHOPBELL_PUBLIC_URL" in await problems(server, hook_url=url)


# Templates


async def test_templates_come_page_by_page_with_their_places(server: WhatsAppSimulator) -> None:
    server.templates = [
        template("ready", body="{{1}}, order {{2}}, {{1}}"),
        template("ready", body="{{1}}, narudžba {{2}}", language="hr", status="PENDING"),
        template("sale", body="For {{ name }}"),
        template("plain", body="Hello"),
        {"name": "broken"},
    ]
    found = await connect(server).templates()
    assert [(t.name, t.language, t.usable, t.places) for t in found] == [
        ("ready", "en", True, ("1", "2")),
        ("ready", "hr", False, ("1", "2")),
        ("sale", "en", True, ("name",)),
        ("plain", "en", True, ()),
    ]
    assert (found[0].body, found[0].category, found[0].status) == ("{{1}}, order {{2}}, {{1}}", "UTILITY", "APPROVED")


async def test_templates_that_cannot_be_asked_for_are_an_error(server: WhatsAppSimulator) -> None:
    server.script([Fault.UNAUTHORIZED])
    with pytest.raises(AuthExpired):
        await connect(server).templates()


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"phone_number_id": "+385 91"},
        {"waba_id": "ours"},
        {"access_token": ""},
        {"access_token": "with space inside"},
        {"app_secret": "short"},
        {"verify_token": "lozinka-š-9"},
        {"graph_url": "ftp://graph.example"},
        {"graph_version": "26"},
        {"phone_number": "31337"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        whatsapp_config(**wrong)
    assert not any(value and value in str(caught.value) for value in wrong.values())


def test_what_was_copied_with_spaces_around_is_taken() -> None:
    assert whatsapp_config(access_token=f" {TOKEN}\n").access_token.get_secret_value() == TOKEN


@pytest.mark.parametrize("missing", [*SECRETS, "phone_number_id", "waba_id"])
def test_what_is_needed_is_asked_for(missing: str) -> None:
    known = {name: value for name, value in whatsapp_config().model_dump().items() if name != missing}
    with pytest.raises(ValidationError, match=missing):
        type(whatsapp_config()).model_validate(known)


# Who may speak


def asked(**query: str) -> Hook:
    known = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
    return Hook("GET", {}, known | {f"hub.{name}": value for name, value in query.items()}, b"")


def test_the_handshake_repeats_the_challenge_as_plain_text() -> None:
    reply = connect().handshake(asked())
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"1158201444", "text/plain")


@pytest.mark.parametrize("query", [{"mode": "unsubscribe"}, {"verify_token": "guess"}, {"verify_token": ""}])
def test_a_handshake_of_somebody_else_is_refused(query: Mapping[str, str]) -> None:
    with pytest.raises(BadSignature):
        connect().handshake(asked(**query))


@pytest.mark.parametrize("challenge", ["", "<script>", "a\r\nSet-Cookie: x", "x" * 300])
def test_a_challenge_that_is_none_is_not_repeated(challenge: str) -> None:
    with pytest.raises(Malformed):
        connect().handshake(asked(challenge=challenge))


def test_the_signature_is_over_the_bytes_as_they_came() -> None:
    server = whatsapp_simulator()
    connector = connect(server)
    for body in (b'{"entry": [], "t": "\\u0161"}', '{"entry": [], "t": "š"}'.encode(), b'{"entry":  []}'):
        connector.verify(server.sign(body))
    signed = server.sign(b'{"entry": []}')
    for changed in (
        {"x-hub-signature-256": signed.headers["x-hub-signature-256"].upper()},
        {"x-hub-signature-256": signed.headers["x-hub-signature-256"].removeprefix("sha256=")},
        {"x-hub-signature": signed.headers["x-hub-signature-256"]},
    ):
        with pytest.raises(BadSignature):
            connector.verify(Hook("POST", changed, {}, signed.body))
