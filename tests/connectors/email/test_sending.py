"""Answers as mails, handed to a real SMTP server that takes, refuses and breaks off."""

from collections.abc import AsyncIterator, Iterator
from email.utils import parseaddr
from typing import Any

import pytest

from connectors.email.ids import Signer
from connectors.email.outbound import REFERENCES_MAX
from shared.content import Album, Buttons, ContactCard, Location, Media, Option, Text
from shared.errors import AuthExpired, Rejected, SendError, Throttled, Unavailable, Uncertain, Unreachable, Unsupported
from tests.connectors.email.given import MAILBOX, MESSAGE_ID, PASSWORD, SIGNING_KEY, Given, Shelf, reply, settings
from tests.connectors.email.sink import Sink, Taken, running_sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as sink:
        yield sink


@pytest.fixture
async def mailbox(sink: Sink) -> AsyncIterator[Given]:
    given = Given(settings(smtp_port=sink.port), shelf=Shelf(att_1=b"%PDF-1.7 bill", att_2=b"\x89PNG picture"))
    yield given
    await given.close()


async def sent(mailbox: Given, sink: Sink, content: Any, **more: Any) -> Taken:
    await mailbox.send(reply(content, **more))
    return sink.taken[-1]


async def refused(mailbox: Given, command: Any = None) -> SendError:
    with pytest.raises(SendError) as caught:
        await mailbox.send(command or reply("It is."))
    return caught.value


async def test_an_answer_is_threaded_and_in_both_forms(mailbox: Given, sink: Sink) -> None:
    result = await mailbox.send(reply(Text(text="Yes, it is.", html="Yes, <b>it is</b>.")))
    mail = sink.taken[0].message
    token = Signer(SIGNING_KEY.encode()).token(MESSAGE_ID)
    assert result.external_ids == (f"{token}@shop.example",)
    assert mail["Message-ID"] == f"<{token}@shop.example>"
    assert (mail["Subject"], mail["In-Reply-To"]) == ("Re: Size of the boots", "<a1@example.org>")
    assert mail["References"] == "<a0@example.org> <a1@example.org>"
    assert parseaddr(str(mail["From"])) == ("Shop", MAILBOX)
    assert parseaddr(str(mail["To"])) == ("", "ann@example.org")
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().strip() == "Yes, it is."
    assert html.get_content().strip() == "Yes, <b>it is</b>."
    assert "Auto-Submitted" not in mail
    assert "Disposition-Notification-To" not in mail
    assert (sink.taken[0].sender, sink.taken[0].recipients) == (MAILBOX, ("ann@example.org",))


async def test_a_retry_has_the_same_message_id(mailbox: Given, sink: Sink) -> None:
    first, second = [(await sent(mailbox, sink, "It is.")).message["Message-ID"] for _ in range(2)]
    assert first == second
    assert sink.connections == 1  # the connection is used again


async def test_a_long_chain_of_references_keeps_its_ends(mailbox: Given, sink: Sink) -> None:
    notes = {"message_id": "last@example.org", "references": [f"r{number}@example.org" for number in range(50)]}
    chain = str((await sent(mailbox, sink, "Yes.", context=notes)).message["References"]).split()
    assert (len(chain), chain[0], chain[-1]) == (REFERENCES_MAX, "<r0@example.org>", "<last@example.org>")


async def test_answers_to_us_are_told_where_the_customer_wants_them(mailbox: Given, sink: Sink) -> None:
    taken = await sent(mailbox, sink, "Yes.", context={"message_id": "a", "reply_to": "bob@example.org"})
    assert taken.recipients == ("bob@example.org",)


async def test_the_first_mail_of_a_conversation_has_its_subject_and_answers_nothing(mailbox: Given, sink: Sink) -> None:
    mail = (await sent(mailbox, sink, "Hello.", context={"form": True}, subject="Message from the site [A1]")).message
    assert mail["Subject"] == "Message from the site [A1]"
    assert mail["In-Reply-To"] is None
    nameless = (await sent(mailbox, sink, "Hello.", context={})).message
    assert nameless["Subject"] == "Message from Shop"


async def test_files_come_along(mailbox: Given, sink: Sink) -> None:
    bill = Media(media="file", attachment="att_1", mime="application/pdf", name="račun 7.pdf")
    picture = Media(media="image", attachment="att_2", mime="image/png", name="boots.png", caption="These?")
    mail = (await sent(mailbox, sink, Text(text="See the bill.", attachments=(bill, picture)))).message
    found = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
    assert found == [
        ("račun 7.pdf", "application/pdf", b"%PDF-1.7 bill"),
        ("boots.png", "image/png", b"\x89PNG picture"),
    ]
    album = (await sent(mailbox, sink, Album(items=(picture, picture)))).message
    assert len(list(album.iter_attachments())) == 2
    body = album.get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == ["These?", "These?"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            Buttons(text="Which?", options=(Option(id="r", label="Red"), Option(id="b", label="Blue"))),
            "1. Red\n2. Blue",
        ),
        (Location(latitude=45.8, longitude=15.97, label="The shop"), "45.800000, 15.970000"),
        (ContactCard(name="Olga", phones=("+15551234",), emails=("olga@shop.example",)), "Olga\n+15551234"),
        (Media(media="file", url="https://shop.example/a.pdf", caption="Here"), "https://shop.example/a.pdf"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
async def test_what_a_mail_cannot_show_is_said_in_it(mailbox: Given, sink: Sink, content: Any, said: str) -> None:
    result = await mailbox.send(reply(content))
    body = sink.taken[-1].message.get_body(("plain",))
    assert body is not None
    assert said in body.get_content().replace("\r\n", "\n")
    assert result.degraded


async def test_a_signature_stands_below_and_receipts_are_asked_for_only_if_the_shop_wants(sink: Sink) -> None:
    given = Given(settings(smtp_port=sink.port, signature="Shop, Ilica 1", ask_read=True, plus_addresses=True))
    taken = await sent(given, sink, "It is.")
    await given.close()
    token = Signer(SIGNING_KEY.encode()).token(MESSAGE_ID)
    body = taken.message.get_body(("plain",))
    assert body is not None
    assert body.get_content().split("\r\n")[-3:] == ["-- ", "Shop, Ilica 1", ""]
    assert taken.message["Disposition-Notification-To"] == MAILBOX
    assert (taken.sender, parseaddr(str(taken.message["Reply-To"]))[1]) == (f"help+{token}@shop.example",) * 2


async def test_what_no_person_wrote_says_so(mailbox: Given, sink: Sink) -> None:
    mail = (await sent(mailbox, sink, "I am a bot.", automatic=True)).message
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-replied", "All")


async def test_no_line_of_the_customers_becomes_a_field_of_the_head(mailbox: Given, sink: Sink) -> None:
    notes = {
        "message_id": "a\r\nBcc: x@example.org",
        "subject": "Hi\r\nBcc: x@example.org",
        "references": ["a\r\nX: y"],
    }
    taken = await sent(mailbox, sink, "Yes.", context=notes, author_name="O\r\nBcc: x@example.org")
    assert taken.message["Bcc"] is None
    assert taken.recipients == ("ann@example.org",)
    assert "X" not in taken.message


@pytest.mark.parametrize(
    "peer", ["unknown", "ann", "ann@", "@example.org", "ann@example.org\r\nRCPT TO:<x@y>", "a b@c.d"]
)
async def test_an_address_that_is_none_is_not_written_to(mailbox: Given, sink: Sink, peer: str) -> None:
    assert isinstance(await refused(mailbox, reply("Yes.", to=peer)), Unreachable)
    assert not sink.taken


async def test_letters_beyond_ascii_are_for_servers_that_take_them(mailbox: Given, sink: Sink) -> None:
    assert (await sent(mailbox, sink, "Да.", to="аня@example.org")).recipients == ("аня@example.org",)
    assert (await sent(mailbox, sink, "Da.", to="ana@žito.example")).recipients == ("ana@xn--ito-b3a.example",)
    with running_sink(enable_SMTPUTF8=False) as old:
        given = Given(settings(smtp_port=old.port))
        assert isinstance(await refused(given, reply("Да.", to="аня@example.org")), Unreachable)
        await given.close()


@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("MAIL", "452 4.3.1 Out of storage", Unavailable),
        ("MAIL", "550 5.7.1 Sender refused", Rejected),
        ("RCPT", "450 4.2.0 Greylisted", Unavailable),
        ("RCPT", "550 5.1.1 No such user", Unreachable),
        ("RCPT", "554 5.7.1 Relay access denied", Rejected),
        ("DATA", "451 4.7.1 Try later", Unavailable),
        ("DATA", "552 5.3.4 Too big", Rejected),
        ("DATA", "421 4.7.0 Too many mails", Throttled),
    ],
)
async def test_4xx_is_for_later_and_5xx_for_good_with_the_servers_words(
    mailbox: Given, sink: Sink, command: str, answer: str, kind: type[SendError]
) -> None:
    sink.answers[command] = [answer]
    error = await refused(mailbox)
    assert type(error) is kind
    assert answer[4:] in error.detail
    assert not sink.taken
    await mailbox.send(reply("It is."))  # the next one goes
    assert len(sink.taken) == 1


async def test_what_breaks_before_the_content_is_tried_again_and_after_it_nobody_knows(
    mailbox: Given, sink: Sink
) -> None:
    for where in ("MAIL", "RCPT"):
        sink.drop.append(where)
        assert type(await refused(mailbox)) is Unavailable
    assert not sink.taken
    sink.drop.append("after_data")
    error = await refused(mailbox)
    assert type(error) is Uncertain
    assert len(sink.taken) == 1


async def test_a_refused_login_and_a_server_that_is_not_there(sink: Sink) -> None:
    sink.logins[MAILBOX] = "another"
    given = Given(settings(smtp_port=sink.port))
    error = await refused(given)
    assert type(error) is AuthExpired
    assert PASSWORD not in error.detail
    await given.close()
    gone = Given(settings(smtp_port=1))
    assert type(await refused(gone)) is Unavailable
    wayless = Given(settings(smtp_host=None))
    assert type(await refused(wayless)) is Unsupported
    problems = (await gone.check()).problems
    assert any("cannot be reached" in problem for problem in problems)


async def test_a_minute_takes_no_more_than_it_may() -> None:
    given = Given(settings(rate_per_minute=30))
    assert (given.rate.burst, given.rate.per_second) == (15, 0.25)
