"""E-mail between real servers: Postfix carries the mails and reports on them, Dovecot keeps them.

Both run with configurations of their own in a temporary folder, whatever else is set up on the machine. Postfix needs
to be started by root, since it gives each of its programs another user's rights. Nothing leaves the machine.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from shopbell_client import Message

from tests.connectors.email.imap import (
    Mailbox,
    Server,
    end,
    free_port,
    new_account,
    require,
    running_dovecot,
    wait_for_greeting,
)
from tests.connectors.email.sink import Sink, running_sink
from tests.e2e.test_email import Post, connected, read_report, written
from tests.support.eventually import eventually
from tests.support.product import Running, Shop

POSTFIX: Final = "/usr/sbin/postfix"
NO_POSTFIX: Final = "needs Postfix, started by root: apt-get install postfix"
PEOPLE: Final = ("anna", *(f"help{n}" for n in range(1, 10)))
NUMBERS: Final = count(1)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

# What is for shop.test goes into Dovecot's maildirs, what is for slow.test to the sink; there is nowhere else to go.
MAIN: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.shop.test
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtpd_peername_lookup = no
recipient_delimiter = +
virtual_mailbox_domains = shop.test
virtual_mailbox_base = {home}
virtual_mailbox_maps = texthash:{folder}/people
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
transport_maps = texthash:{folder}/ways
default_transport = error:5.1.2 there is no way to this domain
smtpd_reject_unlisted_recipient = no
smtpd_relay_restrictions = permit_mynetworks, reject
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
"""
MASTER: Final = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Servers:
    """Postfix at `port`, Dovecot and, for slow.test, a sink."""

    port: int
    dovecot: Server
    sink: Sink
    log: Path

    def box(self, name: str) -> Mailbox:
        return new_account(self.dovecot.port, self.dovecot.log.parent / "home", f"{name}@shop.test")

    def deliver(self, mail: EmailMessage | bytes, *, sender: str, to: str) -> None:
        """As a program of the sender's hands it over."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.sendmail(sender, [to], mail if isinstance(mail, bytes) else mail.as_bytes())


@contextlib.contextmanager
def running_postfix(home: Path, sink_port: int) -> Iterator[tuple[int, Path]]:
    program = require(POSTFIX, NO_POSTFIX)
    if os.geteuid() != 0:
        pytest.skip(NO_POSTFIX)
    port, owner = free_port(), pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("queue", "data", "etc"):
            (folder / part).mkdir()
        shutil.chown(folder / "data", "postfix")
        config, log = folder / "etc", folder / "log"
        main = MAIN.format(folder=folder, home=home, uid=owner.pw_uid, gid=owner.pw_gid)
        (config / "main.cf").write_text(main)
        (config / "master.cf").write_text(MASTER.format(port=port))
        (folder / "people").write_text("".join(f"{one}@shop.test {one}@shop.test/Maildir/\n" for one in PEOPLE))
        (folder / "ways").write_text(f"slow.test smtp:[127.0.0.1]:{sink_port}\n")
        with (folder / "said").open("wb") as out:
            # start-fg: no daemon, so that whoever started it can wait for its end; no systemd is needed.
            process = subprocess.Popen(
                [program, "-c", str(config), "start-fg"], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            wait_for_greeting(process, folder / "said", port)
            yield port, log
        finally:
            subprocess.run([program, "-c", str(config), "stop"], check=False, capture_output=True, timeout=30)
            end(process)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with (
        running_sink() as sink,
        running_dovecot() as dovecot,
        running_postfix(dovecot.log.parent / "home", sink.port) as (port, log),
    ):
        yield Servers(port, dovecot, sink, log)


@pytest.fixture
async def post(running: Running, shop: Shop, http: httpx.AsyncClient, servers: Servers) -> AsyncIterator[Post]:
    async with posting(running, shop, http, servers) as post:
        yield post


@contextlib.asynccontextmanager
async def posting(
    running: Running, shop: Shop, http: httpx.AsyncClient, servers: Servers, **more: Any
) -> AsyncIterator[Post]:
    """The shop's mailbox, read from Dovecot and answered by Postfix."""
    name = f"help{next(NUMBERS)}"
    box = servers.box(name)
    settings = {"address": f"{name}@shop.test", "smtp_port": servers.port}
    post = await connected(running, shop, http, box, servers.sink, **settings | more)
    try:
        yield post
    finally:
        await shop.client.channels.delete(post.channel)


async def deliver(servers: Servers, post: Post, mail: EmailMessage | bytes, *, sender: str) -> None:
    await asyncio.to_thread(lambda: servers.deliver(mail, sender=sender, to=post.address))


async def answered(servers: Servers, post: Post, who: str) -> Message:
    """Somebody asks, and the answer has been taken by Postfix."""
    question = written("Is it in stock?", to=post.address, sender=who)
    await deliver(servers, post, question, sender=who)
    await post.until_said(1)
    return await post.until(await post.answer(), "sent", "delivered", "failed")


async def mails_of(box: Mailbox, about: str) -> list[EmailMessage]:
    """What is in somebody's mailbox and came from this address."""

    def look() -> list[EmailMessage]:
        with box.session() as client:
            client.select("INBOX", readonly=True)
            told = client.fetch("1:*", "(BODY.PEEK[])")[1]
            found = [message_from_bytes(one[1], policy=default) for one in told if isinstance(one, tuple)]
            return [one for one in found if about in str(one["From"])]

    return await asyncio.to_thread(look)


async def test_an_answer_arrives_in_the_customers_mailbox_and_her_reply_comes_back(
    post: Post, servers: Servers
) -> None:
    anna = servers.box("anna")
    await answered(servers, post, "anna@shop.test")
    (answer,) = await eventually(lambda: mails_of(anna, post.address))
    assert answer["Subject"] == "Re: Red shoes"
    assert answer["Return-Path"] == f"<{post.address}>"
    body = answer.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == "It is."
    reply = written(
        "Great!", to=post.address, sender="anna@shop.test", subject="Re: Red shoes", answers=answer["Message-ID"]
    )
    await deliver(servers, post, reply, sender="anna@shop.test")
    said = await post.until_said(3)
    assert said[2]["mail"]["placement"]["code"] == "signed"
    assert len(await post.conversations()) == 1


@pytest.mark.parametrize("plus", [False, True], ids=["by the id", "by the address"])
async def test_an_address_that_does_not_exist_comes_back_as_a_failure(
    running: Running, shop: Shop, http: httpx.AsyncClient, servers: Servers, plus: bool
) -> None:
    async with posting(running, shop, http, servers, plus_addresses=plus) as post:
        answer = await answered(servers, post, "gone@shop.test")
        answer = await post.until(answer, "failed")
        assert answer.status_evidence == "bounce"
        assert answer.failure is not None
        assert "unknown user" in answer.failure.detail
        receipts = await post.get(f"messages/{answer.id}/receipts")
        assert "5.1.1" in str(receipts)
        assert len(await post.messages()) == 2


async def test_a_domain_without_a_way_comes_back_as_a_failure(post: Post, servers: Servers) -> None:
    answer = await post.until(await answered(servers, post, "somebody@elsewhere.test"), "failed")
    assert answer.failure is not None
    assert "no way to this domain" in answer.failure.detail


async def test_what_was_put_into_her_mailbox_is_delivered(
    running: Running, shop: Shop, http: httpx.AsyncClient, servers: Servers
) -> None:
    async with posting(running, shop, http, servers, ask_delivered=True) as post:
        answer = await post.until(await answered(servers, post, "anna@shop.test"), "delivered")
        assert answer.status_evidence == "provider_receipt"
        assert len(await post.messages()) == 2


async def test_a_server_that_puts_off_is_noted_and_then_it_arrives(post: Post, servers: Servers) -> None:
    servers.sink.answers["RCPT"] = ["450 4.2.0 Try again later"] * 1000
    answer = await answered(servers, post, "slow@slow.test")

    async def noted() -> list[str]:
        told = await post.shop.client.messages.receipts(answer.id)
        return [one.reason.detail for one in told if one.evidence == "bounce" and one.reason]

    detail = (await eventually(noted, timeout_s=30))[0]
    assert "Try again later" in detail
    assert (await post.shop.client.messages.get(answer.id)).status == "sent"
    servers.sink.answers.clear()
    await eventually(lambda: arrived(servers.sink), timeout_s=30)


async def arrived(sink: Sink) -> list[str]:
    return [to for taken in sink.taken for to in taken.recipients if to == "slow@slow.test"]


async def test_she_opens_it_and_is_away_and_nobody_waits(
    running: Running, shop: Shop, http: httpx.AsyncClient, servers: Servers
) -> None:
    anna = servers.box("anna")
    async with posting(running, shop, http, servers, ask_read=True) as post:
        answer = await answered(servers, post, "anna@shop.test")
        (mail,) = await eventually(lambda: mails_of(anna, post.address))
        assert mail["Disposition-Notification-To"] == post.address
        away = written(
            "I am away", to=post.address, sender="anna@shop.test", subject="Automatic reply: Red shoes",
            answers=mail["Message-ID"], Auto_Submitted="auto-replied",
        )  # fmt: skip
        await deliver(servers, post, away, sender="")
        said = await post.until_said(3)
        assert said[2]["mail"]["class"] == "auto_reply"
        (conversation,) = await post.conversations()
        assert conversation["waiting_since"] is None
        await deliver(servers, post, read_report(mail["Message-ID"], to=post.address), sender="")
        assert (await post.until(answer, "read")).status_evidence == "mdn"
        assert len(await post.messages()) == 3
