"""One person, whatever the provider calls them; two persons, whatever anyone guesses."""

from datetime import UTC, datetime, timedelta

import pytest
from shopbell_client import Contact

from shared.content import Reaction, Text
from shared.events import (
    Address,
    ChannelReported,
    InboundEvent,
    MessageEdited,
    MessageReceived,
    PeerConnected,
    PeerMoved,
    Reason,
    Sender,
)
from shared.subjects import INBOUND, InboundBatch
from tests.support.customer import fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute
from tests.support.wordy import wordings


class Line:
    """A number of the shop, and whoever writes to it."""

    def __init__(self, running: Running, shop: Shop, channel: str, number: str) -> None:
        self.running, self.shop, self.channel, self.number = running, shop, channel, number

    def address(self, peer: str) -> Address:
        return Address(channel="wordy", account=self.number, peer=peer)

    def says(self, peer: str, text: str, *aliases: str, external_id: str = "", **more: str) -> MessageReceived:
        sender = Sender(name=more.pop("name", None), phone=more.pop("phone", None), aliases=aliases)
        return MessageReceived.model_validate(
            {
                "address": self.address(peer),
                "occurred_at": datetime.now(UTC),
                "raw": b"{}",
                "external_id": external_id or fresh("in"),
                "sender": sender,
                "content": Text(text=text),
                **more,
            }
        )

    def moves(self, old: str, new: str, **sender: str) -> PeerMoved:
        return PeerMoved(
            address=self.address(old),
            occurred_at=datetime.now(UTC),
            external_id=fresh("moved"),
            to=new,
            sender=Sender.model_validate(sender),
        )

    async def tell(self, *events: InboundEvent) -> None:
        await self.running.core.bus.publish(INBOUND, InboundBatch(channel_id=self.channel, events=events))

    async def contacts(self) -> list[Contact]:
        return [contact async for contact in self.shop.client.contacts.iterate()]

    async def texts(self) -> list[list[str]]:
        """What was said, by conversation."""
        said = []
        async for conversation in self.shop.client.conversations.iterate():
            messages = (await self.shop.client.messages.list(conversation.id)).items
            said.append([message.content.text for message in messages if hasattr(message.content, "text")])
        return sorted(said)


async def new_line(running: Running, shop: Shop, number: str = "") -> Line:
    number = number or fresh("number")
    channel = await shop.client.channels.create(type="wordy", name=number, settings={"number": number})
    return Line(running, shop, channel.id, number)


@pytest.fixture
async def line(scripted: Running, scripted_shop: Shop) -> Line:
    return await new_line(scripted, scripted_shop)


async def test_a_person_who_hides_their_phone_later_is_the_same(line: Line) -> None:
    await line.tell(line.says("385911", "one", name="Ana"))
    await line.tell(line.says("HR.77", "two", "385911", phone="+385911"))
    await line.tell(line.says("HR.77", "three"))
    (contact,) = await line.contacts()
    assert (contact.name, {identity.peer for identity in contact.identities}) == ("Ana", {"385911", "HR.77"})
    assert await line.texts() == [["one", "two", "three"]]


async def test_a_person_whose_phone_is_met_alone_later_is_the_same(line: Line) -> None:
    await line.tell(line.says("HR.77", "one", "385911", phone="+385911"))
    await line.tell(line.says("385911", "two"))
    (contact,) = await line.contacts()
    assert contact.phone == "+385911"
    assert await line.texts() == [["one", "two"]]


async def test_a_phone_that_becomes_known_later_is_noted(line: Line) -> None:
    await line.tell(line.says("HR.77", "one"))
    await line.tell(line.says("HR.77", "two", "385911", phone="+385911"))
    await line.tell(line.says("385911", "three"))
    (contact,) = await line.contacts()
    assert contact.phone == "+385911"
    assert await line.texts() == [["one", "two", "three"]]


async def test_all_forms_of_a_person_in_one_batch_are_one_person(line: Line) -> None:
    await line.tell(
        line.says("385911", "one"), line.says("HR.77", "two", "385911", "HR.ENT.7"), line.says("HR.ENT.7", "three")
    )
    (contact,) = await line.contacts()
    assert len(contact.identities) == 3
    assert await line.texts() == [["one", "two", "three"]]


async def test_two_who_are_known_apart_are_not_merged_by_a_message(line: Line) -> None:
    await line.tell(line.says("385911", "one"))
    await line.tell(line.says("HR.77", "two"))
    await line.tell(line.says("HR.77", "three", "385911"))
    assert len(await line.contacts()) == 2
    assert await line.texts() == [["one"], ["two", "three"]]


async def test_linking_is_told_in_the_feed(line: Line) -> None:
    await line.tell(line.says("385911", "one"))
    await line.tell(line.says("HR.77", "two", "385911"))
    events = (await line.shop.client.events_page(types=["contact.created", "contact.linked"])).items
    assert [event.type for event in events] == ["contact.created", "contact.linked"]


async def test_answers_go_to_the_new_id_of_someone_who_moved(line: Line) -> None:
    await line.tell(line.says("HR.77", "one"))
    await line.tell(line.moves("HR.77", "HR.88", phone="+385922"))
    (conversation,) = [c async for c in line.shop.client.conversations.iterate()]
    await line.shop.client.messages.send(conversation.id, text="Still you?")
    sent = wordings(line.number).sent

    async def peers() -> list[str]:
        return [command.address.peer for command in sent]

    await eventually(peers, lambda seen: seen == ["HR.88"])
    await line.tell(line.says("HR.88", "two"))
    (contact,) = await line.contacts()
    assert {identity.peer for identity in contact.identities} == {"HR.77", "HR.88"}
    assert await line.texts() == [["one", "Still you?", "two"]]


async def test_a_move_of_nobody_changes_nothing(line: Line) -> None:
    await line.tell(line.moves("HR.1", "HR.2"), line.says("HR.3", "one"))
    assert len(await line.contacts()) == 1


async def test_an_edit_and_a_reaction_find_their_message_under_another_id_of_the_person(line: Line) -> None:
    await line.tell(line.says("385911", "one", external_id="w1"))
    now = datetime.now(UTC)
    edit = MessageEdited(
        address=line.address("HR.77"), occurred_at=now, external_id="w1", content=Text(text="won"), version="2"
    )
    like = line.says("HR.77", "", "385911").model_copy(update={"content": Reaction(emoji="👍", target="w1")})
    await line.tell(like, edit)
    assert await line.texts() == [["won"]]
    (conversation,) = [c async for c in line.shop.client.conversations.iterate()]
    message, reaction = (await line.shop.client.messages.list(conversation.id)).items
    assert (reaction.reply_to, reaction.content.target) == (message.id, message.id)  # type: ignore[union-attr]


# Codes


async def test_a_stranger_with_a_code_is_the_contact_it_was_made_for(line: Line) -> None:
    contact = await line.shop.client.contacts.create(name="Ana")
    code = (await line.shop.client.contacts.code(contact.id)).code
    opened = PeerConnected(
        address=line.address("tg1"), occurred_at=datetime.now(UTC), external_id="start", sender=Sender(), payload=code
    )
    await line.tell(opened)
    await line.tell(line.says("tg1", "It is me"))
    (found,) = await line.contacts()
    (identity,) = found.identities
    assert (found.id, identity.peer, identity.proof) == (contact.id, "tg1", "code")


async def test_someone_known_who_brings_a_code_carries_on_where_it_was_made(line: Line) -> None:
    other = await new_line(line.running, line.shop)
    await line.tell(line.says("web", "Is it in stock?"))
    await other.tell(other.says("tg1", "An old question"))
    ana = next(c for c in await line.contacts() if c.identities[0].peer == "web")
    code = (await line.shop.client.contacts.code(ana.id)).code
    await other.tell(other.says("tg1", "It is me", payload=code))
    await other.tell(other.says("tg1", "And the blue one?"))
    assert await line.texts() == [["An old question"], ["Is it in stock?", "It is me", "And the blue one?"]]


async def test_a_code_is_good_once_and_not_for_ever(line: Line) -> None:
    contact = await line.shop.client.contacts.create(name="Ana")
    spent = (await line.shop.client.contacts.code(contact.id)).code
    old = (await line.shop.client.contacts.code(contact.id)).code
    await line.tell(line.says("tg1", "one", payload=spent))
    await execute(
        line.running, "UPDATE link_codes SET expires_at = now() - interval '1 s' WHERE shop_id = :id", id=line.shop.uuid
    )
    await line.tell(line.says("tg2", "two", payload=spent), line.says("tg3", "three", payload=old))
    await line.tell(line.says("tg4", "four", payload="made up"))
    assert len(await line.contacts()) == 4


# Several numbers at one address, and what a provider says of them


async def test_what_is_told_at_another_numbers_address_lands_where_it_belongs(line: Line) -> None:
    other = await new_line(line.running, line.shop)
    await line.tell(line.says("ana", "one"), other.says("bob", "two"), line.says("ana", "three"))
    by_channel = {c.channel.id: c.contact.id async for c in line.shop.client.conversations.iterate()}
    assert set(by_channel) == {line.channel, other.channel}
    assert await line.texts() == [["one", "three"], ["two"]]


async def test_what_belongs_to_no_channel_waits_in_quarantine_for_it(line: Line) -> None:
    number = fresh("number")
    stray = Line(line.running, line.shop, line.channel, number)
    await line.tell(stray.says("ana", "one"), line.says("bob", "two"))
    assert await line.texts() == [["two"]]
    (kept,) = (await line.shop.client.inbound.list(state="quarantined")).items
    assert kept.reason is not None
    assert kept.reason.code == "unknown_account"
    with pytest.raises(Exception, match="not connected"):
        await line.shop.client.inbound.replay(kept.id)
    await new_line(line.running, line.shop, number)
    await line.shop.client.inbound.replay(kept.id)
    assert await line.texts() == [["one"], ["two"]]


def said(line: Line, topic: str, problem: Reason | None = None) -> ChannelReported:
    return ChannelReported.model_validate(
        {
            "address": line.address(line.number),
            "occurred_at": datetime.now(UTC) + timedelta(0),
            "external_id": fresh("said"),
            "topic": topic,
            "problem": problem,
        }
    )


async def test_a_number_that_no_longer_works_is_paused_and_says_why(line: Line) -> None:
    problem = Reason(code="auth_expired", detail="The token has run out.")
    await line.tell(said(line, "account", problem))
    channel = await line.shop.client.channels.get(line.channel)
    assert channel.state == "paused"
    (event,) = (await line.shop.client.events_page(types=["channel.state"])).items[-1:]
    assert event.model_dump()["data"]["state"] == "paused"
    checked = await line.shop.client.channels.check(line.channel)
    assert checked.problems == ("The channel is paused: The token has run out. Activate it when that is mended.",)


async def test_a_warning_is_shown_and_stops_nothing(line: Line) -> None:
    await line.tell(said(line, "account", Reason(code="quality", detail="The quality of this number is low.")))
    assert (await line.shop.client.channels.get(line.channel)).state == "active"
    assert (await line.shop.client.channels.check(line.channel)).ok
