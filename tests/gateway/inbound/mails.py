"""Those who write to a mailbox of the shop: mails as the connector understands them, without a mail server."""

from dataclasses import dataclass
from typing import Any

from shopbell_client import Conversation, Message

from shared.events import Authenticity, Echo, Mail, MessageReceived
from shared.ids import CHANNEL, MESSAGE, read_id, show_id
from tests.connectors.email.sink import HOST, Taken, shared_sink
from tests.support.customer import Customer, fresh
from tests.support.product import Running, Shop
from tests.support.tables import query

SUBJECT = "Order 7"


@dataclass(frozen=True)
class Writer(Customer):
    """Somebody with an address. Their mails are verified and about one subject, unless told otherwise."""

    channel_type: str = "email"

    def mail(
        self, text: str = "Hello?", subject: str = SUBJECT, *, id: str | None = None, **told: Any
    ) -> MessageReceived:
        """A mail; `told` are facts of `Mail`, and whatever else an event has."""
        event: dict[str, Any] = {
            key: told.pop(key) for key in ("content", "reply_to", "sender", "payload") if key in told
        }
        message = self.message(text, id or a_mail_id(), subject=subject, mail=facts(subject, **told))
        thread = message.address.model_copy(update={"thread": f"of {message.external_id}"})
        return message.model_copy(update={"address": thread, **event})

    def reply(
        self, to: MessageReceived, text: str = "And this.", subject: str = f"Re: {SUBJECT}", **told: Any
    ) -> MessageReceived:
        return self.mail(text, subject, **{"references": (to.external_id,), **told})

    def echo(self, **told: Any) -> Echo:
        """A mail of ours to them that another program sent."""
        mail = self.mail(**told)
        return Echo(
            address=mail.address, occurred_at=mail.occurred_at, external_id=mail.external_id, content=mail.content,
            origin="other_api", subject=mail.subject, mail=mail.mail,
        )  # fmt: skip

    async def sends(self, *mails: MessageReceived | Echo) -> Message:
        """Hand the mails over in one batch; the last of them as the API shows it."""
        await self.tell(*mails)
        return await self.seen(mails[-1])

    async def seen(self, mail: MessageReceived | Echo) -> Message:
        assert mail.mail is not None
        (row,) = await query(
            self.running,
            "SELECT id FROM messages WHERE shop_id = :shop_id AND channel_id = :channel_id AND external_id = :id "
            "AND mail ->> 'fingerprint' = :fingerprint",
            shop_id=self.shop.uuid, channel_id=read_id(CHANNEL, self.channel_id), id=mail.external_id,
            fingerprint=mail.mail.fingerprint,
        )  # fmt: skip
        return await self.shop.client.messages.get(show_id(MESSAGE, row.id))

    async def conversation_of(self, message: Message) -> Conversation:
        return await self.shop.client.conversations.get(message.conversation)


def a_mail_id() -> str:
    return f"{fresh('mail')}@mail.example"


def facts(subject: str, **told: Any) -> Mail:
    """What a mail with this subject tells, as the connector reads it."""
    topic = subject.removeprefix("Re: ")
    usual = {"authenticity": Authenticity.VERIFIED, "topic": topic.lower(), "answers": topic != subject}
    return Mail.model_validate({**usual, "fingerprint": fresh("print"), **told})


@dataclass(frozen=True)
class Mailbox:
    """A mailbox of a shop."""

    running: Running
    shop: Shop
    channel: str
    address: str

    def writer(self, name: str = "anna") -> Writer:
        """Somebody whom nobody has heard of yet."""
        return self.known_as(f"{fresh(name)}@mail.example")

    def known_as(self, peer: str) -> Writer:
        return Writer(self.running, self.shop, peer, channel=self.channel, account=self.address)


async def new_mailbox(running: Running, shop: Shop, **settings: Any) -> Mailbox:
    """Connected to no server, unless the settings name one: whoever answers then has the channel paused."""
    address = f"{fresh('help')}@shop.example"
    channel = await shop.client.channels.create(type="email", name="Mail", settings={"address": address, **settings})
    return Mailbox(running, shop, channel.id, address)


async def new_posting_mailbox(running: Running, shop: Shop) -> Mailbox:
    """One that hands what is sent to a server which takes everything."""
    sink = shared_sink()
    return await new_mailbox(running, shop, smtp_host=HOST, smtp_port=sink.port, smtp_security="none")


async def posted_to(writer: Writer) -> list[Taken]:
    """What was sent from there to this address."""
    return [one for one in shared_sink().taken if writer.peer in one.recipients]
