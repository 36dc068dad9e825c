"""What a contact form may say, what its sender is told, and how many are taken. Pure."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.webchat.capabilities import TEXT_MAX
from connectors.webchat.forms import words
from connectors.webchat.forms.form import Form, Handle, parse_form
from connectors.webchat.forms.limits import PER_CALLER, PER_CHANNEL, WINDOW_S, FormLimits, caller_of
from connectors.webchat.refusals import Refused

JSON, URLENCODED = "application/json", "application/x-www-form-urlencoded"


def said(**fields: Any) -> Form:
    return parse_form(json.dumps({"text": "Hello", "email": "ana@example.com"} | fields).encode(), JSON)


def refused(body: bytes, media_type: str = JSON) -> Refused:
    with pytest.raises(Refused) as refusal:
        parse_form(body, media_type)
    return refusal.value


def outcome(body: bytes, media_type: str = JSON) -> Form | Refused:
    try:
        return parse_form(body, media_type)
    except Refused as refusal:
        return refusal


def mistakes(**fields: Any) -> dict[str, str]:
    body = json.dumps({"text": "Hello", "email": "ana@example.com"} | fields).encode()
    return {error["pointer"]: error["code"] for error in refused(body).errors}


# Ways to answer


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Ana.Anic+shop@Example.COM ", "ana.anic+shop@example.com"),
        ("o'neil@a.co", "o'neil@a.co"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("a@" + "b" * 63 + ".com", "a@" + "b" * 63 + ".com"),
    ],
)
def test_an_address_that_can_be_written_to_is_kept_in_lower_case(typed: str, kept: str) -> None:
    assert said(email=typed).email == kept


@pytest.mark.parametrize(
    "typed",
    [
        "ana", "ana@", "@example.com", "ana@example", "ana@@example.com", "ana@b@example.com", "ana anic@example.com",
        "ana@example.com\r\nBcc: eve@example.com", "ana\n@example.com", "ana@exam\nple.com", "ana@example.com\0",
        '"ana"@example.com', "ana@[127.0.0.1]", "ana@127.0.0.1", "ana@-a.com", "ana@a..com", "ana@.com", "ana@com.",
        ".ana@example.com", "ana.@example.com", "a..na@example.com", "<ana@example.com>", "Ana <ana@example.com>",
        "ana@example.com,eve@example.com", "ana@straße.de", "ána@example.com", "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com", "a@" + ".".join(["b" * 61] * 4) + ".example", "ana@example.com" + " " * 254, 5, [],
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(typed: object) -> None:
    assert list(mistakes(email=typed)) == ["/email"]


@given(st.text(max_size=300))
def test_no_address_carries_a_line_end_or_a_second_at(typed: str) -> None:
    found = outcome(json.dumps({"text": "Hello", "email": typed, "phone": "+385912345678"}).encode())
    if isinstance(found, Refused):
        assert [error["pointer"] for error in found.errors] == ["/email"]
        return
    email = found.email
    assert email is None or (email.isascii() and email.isprintable() and email.count("@") == 1 and len(email) <= 254)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("+385 91 234-567", "+38591234567"),
        ("(091) 234.5678", "0912345678"),
        ("+1/202\u00a0555\u20110123", "+12025550123"),
        ("1234567", "1234567"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_a_phone_number_is_kept_without_its_separators(typed: str, kept: str) -> None:
    assert said(email=None, phone=typed).phone == kept


@pytest.mark.parametrize(
    "typed", ["123456", "+1234567890123456", "12+345678", "++3859123456", "call me", "٠١٢٣٤٥٦٧", 5]
)
def test_what_is_no_phone_number_is_refused(typed: object) -> None:
    assert list(mistakes(phone=typed)) == ["/phone"]


def test_a_handle_has_a_messenger_or_none() -> None:
    assert said(handle="@ana").handle == Handle(name="@ana")
    assert said(handle={"messenger": "telegram", "name": " @ana\n"}).handle == Handle(messenger="telegram", name="@ana")
    wrong: tuple[object, ...] = (
        {"messenger": "telegram"},
        {"name": ""},
        {"name": "\0"},
        {"name": "a" * 101},
        "a" * 101,
        5,
        [],
    )
    for handle in wrong:
        assert any(pointer.startswith("/handle") for pointer in mistakes(handle=handle)), handle


def test_one_way_to_answer_is_needed_and_the_refusal_says_so() -> None:
    for fields in ({}, {"email": ""}, {"email": " ", "phone": None, "handle": ""}):
        refusal = refused(json.dumps({"text": "Hello"} | fields).encode())
        assert (refusal.status, [error["code"] for error in refusal.errors]) == (422, ["no_way_to_answer"])
        assert "e-mail address, a phone number or" in refusal.detail


# Everything else in it


def test_the_text_has_its_length_as_the_browser_counts_it() -> None:
    assert said(text="  a\r\nb\rc  ").text == "a\nb\nc"
    assert len(said(text="a" * TEXT_MAX).text) == TEXT_MAX
    assert len(said(text="\r\n".join("a" * (TEXT_MAX // 2))).text) == TEXT_MAX - 1
    assert mistakes(text="a" * (TEXT_MAX + 1)) == {"/text": "too_long"}
    assert mistakes(text=" \r\n ") == mistakes(text="") == {"/text": "empty"}
    assert said(text="nothing\0 \ud800 lost").text == "nothing\ufffd \ufffd lost"


def test_a_name_cannot_draw_outside_its_line() -> None:
    assert said(name="Ana\r\nBcc: \u202eeve \0").name == "Ana Bcc: eve"
    assert list(mistakes(name="a" * 101)) == ["/name"]


def test_every_mistake_is_told_at_once_without_what_was_typed() -> None:
    secret = "canary-53c0de"
    body = {"text": "", "email": secret, "phone": secret, "language": secret + "!", "surprise": secret}
    refusal = refused(json.dumps(body).encode())
    assert {error["pointer"] for error in refusal.errors} == {"/text", "/email", "/phone", "/language", "/surprise"}
    assert secret not in json.dumps(refusal.errors) + refusal.detail
    assert len(refused(json.dumps({f"x{n}": n for n in range(2000)}).encode()).errors) == 20


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", JSON, 400), (b"{", JSON, 400), (b"\xff", JSON, 400), (b"[" * 10_000, JSON, 400), (b"[]", JSON, 422),
        (b"null", JSON, 422), (b'"text"', JSON, 422), (b"{}", JSON, 422), (b"{}", "text/plain", 415),
        (b"{}", "multipart/form-data", 415), (b"", URLENCODED, 422), (b"text=a&text=b&email=a@b.co", URLENCODED, 400),
        (b"text=%ff&email=a@b.co", URLENCODED, 400), (b"&".join(b"a%d=1" % n for n in range(30)), URLENCODED, 400),
        (b"text=a&email=a@b.co&surprise=1", URLENCODED, 422), (b"9" * 5000, JSON, 400),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(body: bytes, media_type: str, status: int) -> None:
    assert refused(body, media_type).status == status


@given(st.binary(max_size=200), st.sampled_from([JSON, URLENCODED, ""]))
def test_no_body_is_more_than_refused(body: bytes, media_type: str) -> None:
    found = outcome(body, media_type)
    assert isinstance(found, Form) or found.status in (400, 422)


def test_a_plain_form_says_the_same_as_json() -> None:
    fields = {"text": "Dva\r\nreda", "name": "", "email": "", "phone": "", "messenger": "viber", "handle": "+385912"}
    form = parse_form(urlencode(fields | {"website": ""}).encode(), URLENCODED)
    assert form == Form(text="Dva\nreda", handle=Handle(messenger="viber", name="+385912"))
    assert parse_form(urlencode(fields | {"messenger": ""}).encode(), URLENCODED).handle == Handle(name="+385912")
    assert parse_form(b"text=a&email=a@b.co&messenger=telegram&handle=", URLENCODED).handle is None


# What the sender is told


@pytest.mark.parametrize(
    ("wanted", "accept", "chosen"),
    [
        (None, "", None),
        ("hr-HR", "de", "hr"),
        ("pl", "de;q=0.5, fr;q=0.9, xx", "fr"),
        (None, "en;q=0, ru;q=nonsense, es;q=0.1", "es"),
        (None, "DE-at", "de"),
        (None, ",;q=,*;q=1" * 100, None),
    ],
)
def test_the_language_is_that_of_the_form_or_the_browser(wanted: str | None, accept: str, chosen: str | None) -> None:
    assert words.choose_language(wanted, accept) == chosen


def test_what_may_be_expected_is_said_in_six_languages() -> None:
    form = said()
    assert {language: words.expect(language, form, 24) for language in words.LANGUAGES} == {
        "en": "Thank you. We answer by e-mail, usually within 24 hours.",
        "ru": "Спасибо. Мы ответим по электронной почте, обычно в течение 24 часов.",
        "hr": "Hvala. Odgovaramo e-poštom, obično u roku od 24 sata.",
        "de": "Danke. Wir antworten per E-Mail, in der Regel innerhalb von 24 Stunden.",
        "fr": "Merci. Nous répondons par e-mail, en général sous 24 heures.",
        "es": "Gracias. Respondemos por correo electrónico, normalmente en un plazo de 24 horas.",
    }


@pytest.mark.parametrize(
    ("language", "hours", "told"),
    [
        ("en", 1, "1 hour."), ("ru", 1, "1 часа."), ("ru", 11, "11 часов."), ("ru", 21, "21 часа."),
        ("hr", 5, "5 sati."), ("hr", 12, "12 sati."), ("hr", 72, "72 sata."),
        ("fr", 1, "1 heure."), ("de", 2, "2 Stunden."),
    ],
)  # fmt: skip
def test_hours_are_counted_as_the_language_counts(language: str, hours: int, told: str) -> None:
    assert words.expect(language, said(), hours).endswith(f" {told}")


def test_a_messenger_that_we_do_not_know_is_not_repeated_to_its_sender() -> None:
    known = said(email=None, handle={"messenger": "WhatsApp", "name": "@ana"})
    other = said(email=None, handle={"messenger": "Buy at evil.example", "name": "@ana"})
    assert words.expect("en", known, 1) == "Thank you. We answer in WhatsApp, usually within 1 hour."
    assert words.expect("en", other, 1) == "Thank you. We answer in a messenger, usually within 1 hour."
    assert "Please answer in Buy at evil.example: @ana" in words.in_the_chat("en", other, "R")


def test_agents_see_every_way_to_answer() -> None:
    form = said(phone="+385 91 234 567", handle={"messenger": "telegram", "name": "{how}"}, name="Ana")
    assert words.in_the_chat("hr", form, "AB12").splitlines() == [
        "Hello", "", "Molimo odgovorite e-poštom: ana@example.com", "Ili telefonom: +38591234567",
        "Ili putem aplikacije Telegram: {how}", "Ime: Ana", "Oznaka: AB12",
    ]  # fmt: skip
    assert words.in_a_mail("en", form).splitlines() == [
        "Hello",
        "",
        "Or by phone: +38591234567",
        "Or in Telegram: {how}",
    ]
    assert words.in_a_mail("en", said()) == "Hello"


# How many are taken


class Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_one_address_has_a_limit_and_the_channel_a_wider_one() -> None:
    now = Now()
    limits = FormLimits(now)
    assert [limits.take("a") for _ in range(PER_CALLER)] == [0] * PER_CALLER
    now.s = 60
    assert limits.take("a") == WINDOW_S - 60
    others = [f"caller {n}" for n in range(PER_CHANNEL)]
    waits = [limits.take(other) for other in others]
    assert waits.index(WINDOW_S - 60) == PER_CHANNEL - PER_CALLER
    now.s = WINDOW_S
    assert limits.take("a") == 0


def test_what_was_not_kept_and_what_machines_send_takes_nobody_elses_room() -> None:
    limits = FormLimits(Now())
    for _ in range(PER_CHANNEL * 2):
        assert limits.take("a") == 0
        limits.give_back("a")
    for n in range(PER_CHANNEL * 2):
        limits.take(f"machine {n}", by_machine=True)
    assert limits.take("b") == 0
    assert [limits.take("machine", by_machine=True) > 0 for _ in range(PER_CALLER + 1)] == [False] * PER_CALLER + [True]


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("8.8.8.8", "", "8.8.8.8/32"),
        ("8.8.8.8", "9.9.9.9", "8.8.8.8/32"),  # says whoever likes
        ("10.0.0.2", "1.1.1.1, 9.9.9.9", "9.9.9.9/32"),
        ("10.0.0.2", "9.9.9.9, 192.168.0.7", "9.9.9.9/32"),
        ("127.0.0.1", "nonsense, , 10.0.0.9", "127.0.0.1/32"),
        ("2a00:1450:4001:82a::200e", "", "2a00:1450:4001:82a::/64"),
        ("::ffff:8.8.8.8", "", "8.8.8.8/32"),
        ("fe80::1%eth0", "9.9.9.9", "9.9.9.9/32"),
        (None, "", "None"),
    ],
)
def test_whoever_is_behind_a_proxy_of_ours_is_counted_by_their_own_address(
    peer: str | None, forwarded: str, caller: str
) -> None:
    assert caller_of(peer, forwarded) == caller
