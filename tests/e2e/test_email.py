"""The main job by e-mail: a customer writes a mail, an agent answers, between a real mailbox and a real mail server."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import pytest
from shopbell_client import Client, Message

from connectors.listening import ASK_S, TTL_S
from shared.ids import CHANNEL, MESSAGE, read_id
from tests.connectors.email.imap import Cut, Mailbox, Server, Where, free_port, line_to, running_pymap
from tests.connectors.email.sink import Sink, Taken, running_sink
from tests.support.eventually import eventually
from tests.support.process import Up, running_up
from tests.support.product import Running, Shop, running_product, settings_for
from tests.support.tables import query

HOOK_SECRET: Final = "canary-hook-secret-e2e"
PDF: Final = b"%PDF-1.7\n" + bytes(range(256)) * 40
Json = dict[str, Any]
T = TypeVar("T")


@pytest.fixture(scope="module")
def pymap() -> Iterator[Server]:
    with running_pymap() as server:
        yield server


@dataclass
class Post:
    """A channel of e-mail of a shop that has no other, its mailbox, and the server that takes its answers."""

    shop: Shop
    channel: str
    address: str
    box: Mailbox
    sink: Sink
    http: httpx.AsyncClient

    async def get(self, path: str) -> Json:
        """The answer as it is: the mails' own fields too."""
        answer = await self.http.get(f"{self.shop.url}/v1/{path}", headers={"authorization": f"Bearer {self.shop.key}"})
        found: Json = answer.raise_for_status().json()
        return found

    async def conversations(self) -> list[Json]:
        """Oldest first."""
        found: list[Json] = (await self.get("conversations?limit=200"))["items"]
        return sorted(found, key=lambda one: str(one["id"]))

    async def messages(self, conversation: Json | None = None) -> list[Json]:
        """Of this conversation, or of the first one."""
        if conversation is None:
            there = await self.conversations()
            if not there:
                return []
            conversation = there[0]
        found: list[Json] = (await self.get(f"conversations/{conversation['id']}/messages?limit=200"))["items"]
        return found

    async def until_said(self, count: int) -> list[Json]:
        return await eventually(self.messages, lambda said: len(said) >= count)

    async def until_opened(self, count: int) -> list[Json]:
        return await eventually(self.conversations, lambda there: len(there) >= count)

    async def comes(self, *mails: EmailMessage | bytes) -> None:
        """Let these arrive in the mailbox."""
        raw = [mail if isinstance(mail, bytes) else mail.as_bytes() for mail in mails]
        await asyncio.to_thread(self.box.append, *raw)

    def writes(self, text: str, **more: Any) -> EmailMessage:
        return written(text, to=self.address, **more)

    async def answer(self, text: str | None = "It is.", **more: Any) -> Message:
        (conversation, *_) = await self.conversations()
        return await self.shop.client.messages.send(conversation["id"], text=text, **more)

    async def taken(self, count: int = 1) -> list[Taken]:
        return await eventually(as_seen(lambda: self.sink.taken), lambda taken: len(taken) >= count)

    async def until(self, message: Message, *statuses: str) -> Message:
        return await eventually(lambda: self.shop.client.messages.get(message.id), lambda seen: seen.status in statuses)

    async def answered(self, **more: Any) -> tuple[Message, str]:
        """A conversation with a question and an answer that went out: the answer, and the Message-ID that it has."""
        await self.comes(self.writes("Is it in stock?", **more))
        await self.until_said(1)
        before = len(self.sink.taken)
        answer = await self.until(await self.answer(), "sent")
        return answer, (await self.taken(before + 1))[-1].message["Message-ID"]


def as_seen(value: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """For `eventually`: what can be seen without waiting."""

    async def look() -> T:
        return value()

    return look


def written(
    text: str,
    *,
    to: str = "help@shop.example",
    sender: str = "Ann Smith <ann@example.org>",
    subject: str = "Red shoes",
    name: str | None = None,
    answers: str | None = None,
    earlier: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    **headers: str,
) -> EmailMessage:
    """A mail as somebody's program writes it. `answers` and `earlier` are Message-IDs in their brackets."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = name or f"<{time.monotonic_ns()}@mail.example.org>"
    if answers:
        mail["In-Reply-To"] = answers
        mail["References"] = " ".join([*earlier, answers])
    for header, value in headers.items():
        mail[header.replace("_", "-")] = value
    mail.set_content(text)
    for file, content in (files or {}).items():
        mail.add_attachment(content, maintype="application", subtype="pdf", filename=file)
    return mail


async def until_reading(running: Running, channel: str) -> None:
    """Wait until the reader has begun: what comes from here on is new to it."""

    async def places() -> list[Any]:
        key = read_id(CHANNEL, channel)
        return await query(running, "SELECT 1 FROM listeners WHERE channel_id = :key AND place <> '{}'", key=key)

    await eventually(places)


def settings_of(box: Mailbox, sink_port: int, **more: Any) -> Json:
    return {
        "address": f"{box.folder}@shop.example",
        "name": "The shop",
        "username": box.user,
        "password": box.password,
        "imap_host": "127.0.0.1",
        "imap_port": box.port,
        "imap_security": "none",
        "folder": box.folder,
        "poll_s": 1,
        "smtp_host": "127.0.0.1",
        "smtp_port": sink_port,
        "smtp_security": "none",
        "hook_secret": HOOK_SECRET,
    } | more


async def connected(
    running: Running, shop: Shop, http: httpx.AsyncClient, box: Mailbox, sink: Sink, **more: Any
) -> Post:
    settings = settings_of(box, sink.port, **more)
    channel = await shop.client.channels.create(type="email", name="Our mailbox", settings=settings)
    if settings["imap_host"]:
        await until_reading(running, channel.id)
    return Post(shop, channel.id, settings["address"], box, sink, http)


@pytest.fixture
async def post(running: Running, shop: Shop, http: httpx.AsyncClient, pymap: Server) -> AsyncIterator[Post]:
    box = await asyncio.to_thread(pymap.mailbox)
    with running_sink() as sink:
        post = await connected(running, shop, http, box, sink)
        yield post
        await shop.client.channels.delete(post.channel)


# The conversation


async def test_a_mail_becomes_a_conversation_and_its_answer_leads_back_into_it(post: Post) -> None:
    await post.comes(post.writes("Is the red one in stock?", name="<q1@mail.example.org>"))
    (question,) = await post.until_said(1)
    (conversation,) = await post.conversations()
    assert conversation["subject"] == "Red shoes"
    assert (question["author"]["name"], question["content"]["text"]) == ("Ann Smith", "Is the red one in stock?")
    assert question["mail"]["placement"]["code"] == "first"
    answer = await post.until(await post.answer("It is."), "sent")
    assert answer.status_evidence == "provider_accept"

    (taken,) = await post.taken()
    mail = taken.message
    assert (taken.recipients, mail["To"], mail["Subject"]) == (("ann@example.org",), "ann@example.org", "Re: Red shoes")
    assert mail["From"] == f"The shop <{post.address}>"
    assert (mail["In-Reply-To"], mail["References"]) == ("<q1@mail.example.org>", "<q1@mail.example.org>")
    assert mail["Message-ID"].endswith("@shop.example>")
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["It is.", "It is."]
    assert mail["Auto-Submitted"] is None

    reply = post.writes(
        "Great!\n\nOn Tue, 24 Nov 2026 at 10:00, The shop wrote:\n> It is.\n",
        subject="Re: Red shoes", answers=mail["Message-ID"], earlier=["<q1@mail.example.org>"],
    )  # fmt: skip
    await post.comes(reply)
    said = await post.until_said(3)
    assert said[2]["content"]["text"] == "Great!"
    assert "> It is." in said[2]["content"]["full_text"]
    assert (said[2]["mail"]["placement"]["code"], said[2]["mail"]["placement"]["message"]) == ("signed", answer.id)
    assert said[2]["reply_to"] == answer.id
    assert len(await post.conversations()) == 1

    await post.until(await post.answer("Anything else?"), "sent")
    second = (await post.taken(2))[1].message
    assert second["In-Reply-To"] == reply["Message-ID"]
    assert second["References"].split() == ["<q1@mail.example.org>", mail["Message-ID"], reply["Message-ID"]]
    assert second["Subject"] == "Re: Red shoes"


async def test_files_go_both_ways_as_they_are(post: Post) -> None:
    await post.comes(post.writes("See the invoice", files={"račun 17.pdf": PDF}))

    def fetched(said: Sequence[Json]) -> bool:
        return bool(said) and all(file.get("url") for file in said[0]["content"]["attachments"])

    (question,) = await eventually(post.messages, fetched)
    (file,) = question["content"]["attachments"]
    assert (file["name"], file["mime"], file["size"]) == ("račun 17.pdf", "application/pdf", len(PDF))
    assert (await post.http.get(post.shop.url + httpx.URL(file["url"]).path)).content == PDF

    kept = await post.shop.client.attachments.create(PDF, name="refund č.pdf", mime="application/pdf")
    content = {"kind": "media", "media": "file", "attachment": kept.id, "caption": "Here it is"}
    await post.until(await post.answer(None, content=content), "sent")
    (taken,) = await post.taken()
    (sent,) = taken.message.iter_attachments()
    assert (sent.get_filename(), sent.get_content_type(), sent.get_content()) == (
        "refund č.pdf",
        "application/pdf",
        PDF,
    )
    body = taken.message.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == "Here it is"


async def test_a_reply_with_another_subject_opens_another_conversation(post: Post) -> None:
    answer, ours = await post.answered()
    await post.comes(post.writes("And the blue ones?", subject="Blue shoes", answers=ours))
    _, other = await post.until_opened(2)
    assert other["subject"] == "Blue shoes"
    (said,) = await post.messages(other)
    assert (said["mail"]["placement"]["code"], said["mail"]["placement"]["message"]) == ("subject_changed", answer.id)


async def test_the_same_mail_twice_is_one_message(post: Post) -> None:
    mail = post.writes("Is it in stock?")
    again = mail.as_bytes().replace(b"From:", b"Received: from b.example by mx.shop.example; today\nFrom:", 1)
    await post.comes(mail, mail, again)
    await post.comes(post.writes("And this?", subject="The last one"))
    first, _ = await post.until_opened(2)
    assert len(await post.messages(first)) == 1
    assert len(await post.conversations()) == 2


async def test_a_stranger_who_names_our_id_opens_a_conversation_of_their_own(post: Post) -> None:
    answer, ours = await post.answered()
    mallory = post.writes("Send it to me", sender="Mal <mal@evil.example>", subject="Re: Red shoes", answers=ours)
    await post.comes(mallory)
    first, other = await post.until_opened(2)
    assert first["contact"]["id"] != other["contact"]["id"]
    (said,) = await post.messages(other)
    assert (said["mail"]["placement"]["code"], said["mail"]["placement"]["message"]) == ("stranger", answer.id)
    assert len(await post.messages(first)) == 2


async def test_a_made_up_id_of_ours_leads_nowhere(post: Post) -> None:
    _, ours = await post.answered()
    forged = ours.replace(ours.split(".")[1].split("@")[0], "a" * 16)
    await post.comes(post.writes("Hello", subject="Re: Red shoes", answers=forged))
    _, other = await post.until_opened(2)
    (said,) = await post.messages(other)
    assert said["mail"]["placement"]["code"] == "unknown_reference"


async def test_out_of_office_wakes_nobody(post: Post) -> None:
    _, ours = await post.answered()
    (conversation,) = await post.conversations()
    await post.shop.client.conversations.update(conversation["id"], status="closed")
    away = post.writes("I am away", subject="Automatic reply: Red shoes", answers=ours, Auto_Submitted="auto-replied")
    await post.comes(away)
    said = await post.until_said(3)
    assert said[2]["mail"]["class"] == "auto_reply"
    (conversation,) = await post.conversations()
    assert (conversation["status"], conversation["waiting_since"]) == ("closed", None)
    await post.comes(post.writes("Thank you", subject="Re: Red shoes", answers=ours))
    await post.until_said(4)
    (conversation,) = await post.conversations()
    assert conversation["status"] == "open"
    assert conversation["waiting_since"] is not None


# What became of an answer


def delivery_report(ours: str, action: str, status: str, said: str, *, to: str = "help@shop.example") -> bytes:
    """As RFC 3464 has it, with the head of our mail in its last part."""
    return (
        f"From: Mail Delivery System <mailer-daemon@mx.example.org>\r\nTo: {to}\r\nSubject: Delivery Status\r\n"
        f"Date: {format_datetime(localtime())}\r\nMessage-ID: <{time.monotonic_ns()}@mx.example.org>\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system at host mx.example.org.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; ann@example.org\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {said}\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {ours}\r\nSubject: Re: Red shoes\r\n--b--\r\n"
    ).encode()


def read_report(ours: str, *, to: str = "help@shop.example") -> bytes:
    """As RFC 8098 has it."""
    return (
        f"From: Ann Smith <ann@example.org>\r\nTo: {to}\r\nSubject: Read: Red shoes\r\n"
        f"Date: {format_datetime(localtime())}\r\nMessage-ID: <{time.monotonic_ns()}@mail.example.org>\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nYour message was displayed.\r\n"
        "--b\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; ann@example.org\r\n"
        f"Original-Message-ID: {ours}\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n"
    ).encode()


async def test_a_bounce_says_why_the_answer_failed(post: Post) -> None:
    answer, ours = await post.answered()
    await post.comes(delivery_report(ours, "failed", "5.1.1", "550 5.1.1 No such user here", to=post.address))
    answer = await post.until(answer, "failed")
    assert answer.status_evidence == "bounce"
    assert answer.failure is not None
    assert "No such user here" in answer.failure.detail
    assert len(await post.conversations()) == 1


async def test_a_delay_is_noted_and_the_answer_stays_sent(post: Post) -> None:
    answer, ours = await post.answered()
    await post.comes(delivery_report(ours, "delayed", "4.4.1", "450 4.4.1 Try again later", to=post.address))

    async def noted() -> list[str]:
        told = await post.shop.client.messages.receipts(answer.id)
        return [one.reason.detail for one in told if one.evidence == "bounce" and one.reason]

    (detail,) = await eventually(noted)
    assert "Try again later" in detail
    assert (await post.until(answer, "sent")).failure is None
    await post.comes(delivery_report(ours, "failed", "4.4.7", "450 4.4.7 Given up", to=post.address))
    await post.until(answer, "failed")


async def test_reports_of_delivery_and_of_reading_are_ticks(post: Post) -> None:
    answer, ours = await post.answered()
    await post.comes(delivery_report(ours, "delivered", "2.0.0", "250 2.0.0 Ok", to=post.address))
    assert (await post.until(answer, "delivered")).status_evidence == "provider_receipt"
    await post.comes(read_report(ours, to=post.address))
    assert (await post.until(answer, "read")).status_evidence == "mdn"
    (conversation,) = await post.conversations()
    assert conversation["waiting_since"] is None
    assert len(await post.messages()) == 2


async def asked(post: Post) -> None:
    await post.comes(post.writes("Is it in stock?"))
    await post.until_said(1)


async def test_what_the_server_puts_off_is_tried_again_later(post: Post, running: Running) -> None:
    await asked(post)
    post.sink.answers["RCPT"] = ["450 4.2.0 Greylisted, try again later"]
    answer = await post.answer()

    async def planned() -> list[Any]:
        sql = (
            "SELECT attempts, extract(epoch FROM available_at - now()) AS in_s, last_reason FROM outbox "
            "WHERE message_id = :key AND state = 'ready' AND attempts > 0"
        )
        return await query(running, sql, key=read_id(MESSAGE, answer.id))

    (row,) = await eventually(planned)
    assert row.attempts == 1
    assert 30 < row.in_s < 62
    assert "Greylisted" in row.last_reason["detail"]
    assert (await post.shop.client.messages.get(answer.id)).status == "queued"
    assert post.sink.taken == []


@pytest.mark.parametrize(
    ("command", "said", "code"),
    [("RCPT", "550 5.1.1 No such user here", "unreachable"), ("DATA", "554 5.7.1 Looks like spam", "rejected")],
)
async def test_what_the_server_refuses_fails_at_once_with_its_words(
    post: Post, command: str, said: str, code: str
) -> None:
    await asked(post)
    post.sink.answers[command] = [said]
    answer = await post.until(await post.answer(), "failed")
    assert answer.failure is not None
    assert answer.failure.code == code
    assert said in answer.failure.detail
    assert post.sink.taken == []


async def test_an_answer_in_doubt_is_not_repeated_and_by_a_person_with_the_same_id(
    post: Post, running: Running
) -> None:
    await asked(post)
    post.sink.drop.append("after_data")
    answer = await post.until(await post.answer(), "uncertain")
    assert answer.failure is not None
    rows = await query(running, "SELECT 1 FROM outbox WHERE message_id = :key", key=read_id(MESSAGE, answer.id))
    assert rows == []
    assert len(post.sink.taken) == 1
    await post.shop.client.messages.retry(answer.id)
    await post.until(answer, "sent")
    first, second = await post.taken(2)
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_who_wants_to_know_of_reading_asks_for_it(
    running: Running, shop: Shop, http: httpx.AsyncClient, pymap: Server
) -> None:
    box = await asyncio.to_thread(pymap.mailbox)
    with running_sink() as sink:
        post = await connected(running, shop, http, box, sink, ask_read=True)
        await post.answered()
        (taken,) = sink.taken
        assert taken.message["Disposition-Notification-To"] == post.address
        await shop.client.channels.delete(post.channel)


async def test_a_server_that_asks_for_no_login_gets_none(
    running: Running, shop: Shop, http: httpx.AsyncClient, pymap: Server
) -> None:
    """Such as one that takes the mails of its own network only."""
    box = await asyncio.to_thread(pymap.mailbox)
    with running_sink(auth_exclude_mechanism=["LOGIN", "PLAIN"]) as sink:
        post = await connected(running, shop, http, box, sink)
        await post.answered()
        (taken,) = sink.taken
        assert any(option.startswith("SIZE=") for option in taken.mail_options)
        await shop.client.channels.delete(post.channel)


# What is wrong


async def test_the_check_says_in_words_what_is_wrong(post: Post) -> None:
    channels = post.shop.client.channels

    async def problems() -> str:
        return " | ".join((await channels.check(post.channel)).problems)

    found = await problems()
    assert "in clear" in found
    assert "refuse" not in found
    await channels.update(post.channel, settings={"password": "canary-wrong"})
    found = await problems()
    assert f"refuses the login of {post.box.user}" in found
    assert "b'" not in found
    assert "canary" not in found
    await eventually(lambda: channels.get(post.channel), lambda seen: seen.state == "paused")
    closed = free_port()
    await channels.update(post.channel, settings={"password": post.box.password, "imap_port": closed}, state="active")
    assert "could not connect" in await problems()
    await channels.update(post.channel, settings={"imap_port": post.box.port, "smtp_port": closed})
    assert "cannot be reached" in await problems()
    await channels.update(post.channel, settings={"smtp_port": post.sink.port, "folder": "nowhere"})
    assert "open the folder" in await problems()
    post.sink.logins[post.box.user] = "canary-another"
    found = await problems()
    assert "refuses the login: 535" in found
    assert "canary" not in found


# One reads


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_one_of_two_reads_the_mailbox_and_the_other_takes_over_when_it_dies(
    fresh_database: str, tmp_path: Path, pymap: Server, http: httpx.AsyncClient
) -> None:
    box = await asyncio.to_thread(pymap.mailbox)
    settings = settings_for(fresh_database, tmp_path / "second")
    key = settings.secret_key.get_secret_value() if settings.secret_key else ""
    env = {
        "SHOPBELL_DATABASE_URL": fresh_database,
        "SHOPBELL_SECRET_KEY": key,
        "SHOPBELL_PRIVATE_ADDRESSES": "true",
    }
    (tmp_path / "first").mkdir()
    with running_sink() as sink:
        async with line_to(box.port) as line, running_up(tmp_path / "first" / "data", env=env) as up:
            await connect_by(up, settings_of(box, sink.port, imap_port=line.port))
            await eventually(as_seen(lambda: line.logins))
            async with running_product(settings) as second, Client(second.url, up.demo.key) as client:
                holder = await query(second, "SELECT holder FROM listeners WHERE place <> '{}'")
                began = time.monotonic()
                while time.monotonic() - began < 2 * ASK_S:  # the other one asks twice
                    assert line.logins == 1
                    await asyncio.sleep(0.1)
                await asyncio.to_thread(box.append, written("To whoever reads").as_bytes())
                await eventually(lambda: texts(client), lambda said: said == ["To whoever reads"])
                await up.kill()
                killed_at = time.monotonic()
                await asyncio.to_thread(box.append, written("To the other", subject="Another").as_bytes())
                await eventually(lambda: texts(client), lambda said: "To the other" in said, timeout_s=20)
                assert time.monotonic() - killed_at < TTL_S + ASK_S + 1
                assert sorted(await texts(client)) == ["To the other", "To whoever reads"]
                assert line.logins == 2
                assert await query(second, "SELECT holder FROM listeners WHERE place <> '{}'") != holder


async def connect_by(up: Up, settings: Json) -> None:
    """Connect the mailbox by that process."""
    async with up.client() as client:
        await client.channels.create(type="email", name="Our mailbox", settings=settings)


async def texts(client: Client) -> list[str]:
    return [
        str(getattr(message.content, "text", None))
        async for conversation in client.conversations.iterate()
        if conversation.channel.type == "email"
        async for message in client.messages.iterate(conversation.id)
    ]


def is_one(tasks: Sequence[object]) -> bool:
    assert len(tasks) <= 1, "the reader of the former settings goes on"
    return len(tasks) == 1


async def test_after_a_change_of_settings_one_reader_goes_on(
    running: Running, shop: Shop, http: httpx.AsyncClient, pymap: Server
) -> None:
    box = await asyncio.to_thread(pymap.mailbox)
    with running_sink() as sink:
        async with line_to(box.port) as line:
            post = await connected(running, shop, http, box, sink, imap_port=line.port)
            await shop.client.channels.update(post.channel, settings={"signature": "The shop"})
            await eventually(lambda: shop.client.channels.check(post.channel))  # a login of its own
            await post.comes(post.writes("Hello?"))
            await post.until_said(1)
            name = f"listen {post.channel}"
            await eventually(as_seen(lambda: [task for task in asyncio.all_tasks() if task.get_name() == name]), is_one)
            assert (line.logins, line.open) == (3, 1)
            await shop.client.channels.delete(post.channel)
            await eventually(as_seen(lambda: line.open), lambda count: count == 0)


# By the hook


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def basic(secret: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'api:{secret}'.encode()).decode()}"}


async def test_mails_are_taken_from_services_that_post_them(post: Post) -> None:
    url = f"{post.shop.url}/hooks/email/{post.channel}"
    mail = {"content-type": "message/rfc822"}
    ways: dict[str, Callable[[bytes], dict[str, Any]]] = {
        "as a bearer": lambda raw: {"content": raw, "headers": bearer(HOOK_SECRET) | mail},
        "with a login": lambda raw: {"content": raw, "headers": basic(HOOK_SECRET) | mail},
        "by SendGrid": lambda raw: {
            "files": {"email": (None, raw.decode()), "to": (None, post.address)}, "headers": basic(HOOK_SECRET),
        },
        "by Mailgun": lambda raw: {
            "data": {"recipient": post.address, "body-mime": raw.decode()}, "headers": basic(HOOK_SECRET),
        },
        "as a file": lambda raw: {
            "files": {"message": ("mail.eml", raw, "message/rfc822")}, "headers": bearer(HOOK_SECRET),
        },
    }  # fmt: skip
    for name, way in ways.items():
        raw = post.writes(f"Sent {name}", subject=name).as_bytes()
        for _ in range(2):  # services repeat what they are unsure of
            answer = await post.http.post(url, **way(raw))
            assert answer.status_code == 200, (name, answer.text)
    there = await post.until_opened(len(ways))
    assert {one["subject"] for one in there} == set(ways)
    for one in there:
        (said,) = await post.messages(one)
        assert said["content"]["text"] == f"Sent {one['subject']}"


async def test_who_does_not_know_the_secret_is_refused_and_nothing_is_no_mail(post: Post) -> None:
    url = f"{post.shop.url}/hooks/email/{post.channel}"
    raw = post.writes("Hello").as_bytes()
    for headers in ({}, bearer("canary-guess-of-a-secret"), basic("canary-guess-of-a-secret")):
        assert (await post.http.post(url, content=raw, headers=headers)).status_code == 401
    assert (await post.http.post(f"{url}x", content=raw, headers=bearer(HOOK_SECRET))).status_code == 401
    for empty in (b"", b"\r\n", b"  \n\n"):
        assert (await post.http.post(url, content=empty, headers=bearer(HOOK_SECRET))).status_code == 400
    form = await post.http.post(url, data={"subject": "Hello"}, headers=bearer(HOOK_SECRET))
    assert form.status_code == 400
    assert await post.conversations() == []


# Nothing is lost


@pytest.mark.parametrize(
    "wheres",
    [("in",), pytest.param(("before", "after", "idle"), marks=[pytest.mark.slow, pytest.mark.timeout(90)])],
    ids=" then ".join,
)
async def test_a_line_that_is_cut_loses_nothing_and_doubles_nothing(
    running: Running, shop: Shop, http: httpx.AsyncClient, pymap: Server, wheres: Sequence[Where]
) -> None:
    box = await asyncio.to_thread(pymap.mailbox)
    with running_sink() as sink:
        async with line_to(box.port) as line:
            post = await connected(running, shop, http, box, sink, imap_port=line.port)
            line.stall()
            await post.comes(*(post.writes(f"Mail {n}", subject=f"Matter {n}") for n in range(12)))
            line.cuts = [Cut(where, nth=1 if where == "idle" else 5) for where in wheres]
            line.break_all()
            line.flowing.set()
            await eventually(as_seen(lambda: line.cut), lambda cut: cut == len(wheres), timeout_s=40)
            await post.comes(post.writes("The last one", subject="The last one"))
            there = await eventually(post.conversations, lambda there: len(there) > 12, timeout_s=40)
            said = [[one["content"]["text"] for one in await post.messages(matter)] for matter in there]
            assert said == [*([f"Mail {n}"] for n in range(12)), ["The last one"]]
            await shop.client.channels.delete(post.channel)
