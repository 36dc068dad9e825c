"""One person, whatever the provider calls them; two persons, whatever anyone guesses."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shopbell_client import Contact

from shared.content import Reaction, Text
from shared.events import (
    Address,
    ChannelReported,
    Echo,
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
        """Phone numbers may pass on to somebody else."""
        about = {name: more.pop(name, None) for name in ("name", "phone", "group")}
        lent = tuple(id for id in (peer, *aliases) if id.isdigit())
        sender = Sender.model_validate({**about, "aliases": aliases, "lent": lent})
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

    def echoes(self, peer: str, text: str, *aliases: str, **more: str) -> Echo:
        return Echo(
            address=self.address(peer),
            occurred_at=datetime.now(UTC),
            external_id=fresh("echo"),
            content=Text(text=text),
            origin="provider_app",
            recipient=Sender.model_validate(
                {**more, "aliases": aliases, "lent": [id for id in (peer, *aliases) if id.isdigit()]}
            ),
        )

    def moves(self, old: str, new: str, **sender: Any) -> PeerMoved:
        return PeerMoved(
            address=self.address(old),
            occurred_at=datetime.now(UTC),
            external_id=fresh("moved"),
            to=new,
            sender=Sender.model_validate(sender),
        )

    async def tell(self, *events: InboundEvent) -> None:
        await self.running.core.bus.publish(INBOUND, InboundBatch(channel_id=self.channel, events=events))

    async def sent_to(self) -> list[str]:
        return [command.address.peer for command in wordings(self.number).sent]

    async def contacts(self) -> list[Contact]:
        return [contact async for contact in self.shop.client.contacts.iterate()]

    async def texts(self) -> list[list[str]]:
        """What was said, by conversation."""
        said = []
        async for conversation in self.shop.client.conversations.iterate():
            messages = (await self.shop.client.messages.list(conversation.id)).items
            said.append([message.content.text or "" for message in messages if hasattr(message.content, "text")])
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


# Numbers that pass on


async def people_of(line: Line) -> dict[str, set[str]]:
    """The ids of each contact, by name."""
    return {contact.name or "": {end.peer or "" for end in contact.identities} for contact in await line.contacts()}


async def answered_at(line: Line, text: str) -> str:
    """Where an answer in the conversation with this text goes."""
    async for conversation in line.shop.client.conversations.iterate():
        messages = (await line.shop.client.messages.list(conversation.id)).items
        if any(getattr(message.content, "text", None) == text for message in messages):
            await line.shop.client.messages.send(conversation.id, text="Yes?")
            return (await eventually(line.sent_to))[-1]
    raise AssertionError(f"nobody said {text}")


async def test_whoever_gets_a_number_does_not_get_the_history_with_it(line: Line) -> None:
    await line.tell(line.says("HR.1", "I am Ana", "385911", name="Ana", phone="+385911"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris", phone="+385911"))
    assert await people_of(line) == {"Ana": {"HR.1"}, "Boris": {"HR.2", "385911"}}
    assert {contact.name: contact.phone for contact in await line.contacts()} == {"Ana": None, "Boris": "+385911"}
    await line.tell(line.says("385911", "Boris again"))
    assert await line.texts() == [["I am Ana"], ["I am Boris", "Boris again"]]


@pytest.mark.parametrize("hidden", [True, False])
async def test_a_number_that_was_left_is_free_for_the_next(line: Line, hidden: bool) -> None:
    ana = ("HR.1", "385911")
    await line.tell(line.says("HR.1", "I am Ana", "385911", name="Ana", phone="+385911"))
    new = {"aliases": ["385922"], "lent": ["385911", "385922"], "phone": "+385922"}
    await line.tell(line.moves("HR.1", "HR.3", **new), line.moves("385911", "385922", **new | {"aliases": ["HR.3"]}))
    if hidden:
        await line.tell(line.says("385911", "I am Boris", name="Boris"))
    else:
        await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))
    assert (await people_of(line))["Ana"] == {*ana[:1], "HR.3", "385922"}
    assert "385911" in (await people_of(line))["Boris"]
    assert {contact.phone for contact in await line.contacts() if contact.name == "Ana"} == {"+385922"}
    assert await answered_at(line, "I am Ana") == "HR.3"


async def test_a_conversation_is_answered_under_a_lasting_id_once_its_number_has_passed_on(line: Line) -> None:
    await line.tell(line.says("385911", "I am Ana", name="Ana"))
    await line.tell(line.says("HR.1", "I am Ana still", "385911"))
    await line.tell(line.says("385911", "by phone alone"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))
    assert await answered_at(line, "I am Ana") == "HR.1"


async def test_a_lasting_id_wins_over_a_number_of_somebody_else(line: Line) -> None:
    await line.tell(line.says("HR.ENT.1", "I am Ana", name="Ana"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))
    await line.tell(line.says("HR.1", "Ana, with the old number of Boris", "385911", "HR.ENT.1"))
    assert await people_of(line) == {"Ana": {"HR.ENT.1", "HR.1", "385911"}, "Boris": {"HR.2"}}


async def test_a_number_alone_beside_a_lasting_id_is_looked_up_by_the_lasting_one(line: Line) -> None:
    await line.tell(line.says("HR.1", "I am Ana", "385911", name="Ana"))
    await line.tell(line.says("385911", "I am Boris", "HR.2", name="Boris"))
    assert await people_of(line) == {"Ana": {"HR.1"}, "Boris": {"HR.2", "385911"}}


async def test_a_number_that_passes_on_while_everyone_writes_at_once_is_one_persons_and_nothing_is_lost(
    line: Line,
) -> None:
    """Six people, each with an id of their own, and one number that all of them claim; and one of them moves."""
    people = [f"HR.{n}" for n in range(6)]
    said: list[InboundEvent] = [
        line.says(person, f"{person} says {turn}", "385911", name=person) for turn in range(6) for person in people
    ]
    said[20:20] = [line.moves("HR.3", "HR.33")]
    await asyncio.gather(*(line.tell(event) for event in said))
    contacts = await people_of(line)
    assert {name for name in contacts if name} == set(people)
    assert sum("385911" in ends for ends in contacts.values()) == 1
    assert all(person in contacts[person] for person in people)
    assert "HR.33" in contacts["HR.3"]
    assert sorted(text for texts in await line.texts() for text in texts) == sorted(
        event.content.text for event in said if isinstance(event, MessageReceived) and isinstance(event.content, Text)
    )
    assert all(len({text.split()[0] for text in texts}) == 1 for texts in await line.texts())


def left(old: str, new: str, *lasting: str) -> dict[str, Any]:
    """What a provider says of somebody who has left a number for another."""
    return {"aliases": list(lasting), "lent": [old, new], "phone": f"+{new}"}


async def test_news_of_a_number_that_has_passed_on_already_take_nothing_from_its_new_owner(line: Line) -> None:
    await line.tell(line.says("HR.1", "I am Ana", "385911", name="Ana"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))
    for _ in range(2):
        await line.tell(line.moves("385911", "385922", **left("385911", "385922", "HR.1")))
    assert await people_of(line) == {"Ana": {"HR.1", "385922"}, "Boris": {"HR.2", "385911"}}
    assert await answered_at(line, "I am Boris") == "HR.2"


@pytest.mark.parametrize("known", [True, False])
async def test_whoever_gets_a_number_is_its_owner_in_the_same_batch(line: Line, known: bool) -> None:
    ana = line.says("HR.1", "I am Ana", "385911", name="Ana")
    if known:
        await line.tell(ana)
    rest = [line.says("HR.2", "I am Boris", "385911", name="Boris"), line.says("385911", "Boris by phone alone")]
    await line.tell(*([] if known else [ana]), *rest)
    assert await line.texts() == [["I am Ana"], ["I am Boris", "Boris by phone alone"]]
    assert await answered_at(line, "I am Ana") == "HR.1"


async def test_of_two_who_claim_a_number_in_one_batch_the_last_word_counts(line: Line) -> None:
    await line.tell(line.says("HR.1", "one", name="Ana"), line.says("HR.2", "two", name="Boris"))
    await line.tell(line.says("HR.1", "three", "385911"))
    await line.tell(line.says("HR.1", "four", "385911"), line.says("HR.2", "five", "385911"))
    assert await people_of(line) == {"Ana": {"HR.1"}, "Boris": {"HR.2", "385911"}}


async def test_what_was_said_under_a_number_stays_with_whoever_said_it(line: Line) -> None:
    await line.tell(line.says("385911", "Ana's words", name="Ana", external_id="w1"))
    await line.tell(line.says("HR.1", "Ana still", "385911"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))

    def edit(peer: str, text: str) -> MessageEdited:
        return MessageEdited(
            address=line.address(peer), occurred_at=datetime.now(UTC), external_id="w1", content=Text(text=text)
        )

    await line.tell(edit("HR.2", "Boris changes them"))
    assert await line.texts() == [["Ana's words", "Ana still"], ["I am Boris"]]
    await line.tell(edit("HR.1", "Ana changes them"))
    assert await line.texts() == [["Ana changes them", "Ana still"], ["I am Boris"]]
    owners = {end.peer: end.name for contact in await line.contacts() for end in contact.identities}
    assert owners["385911"] == "Boris"


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_a_conversation_is_never_answered_at_a_number_that_was_left(line: Line, known: bool, late: bool) -> None:
    before = line.says("385911", "one", name="Ana")
    if known:
        await line.tell(before)
    words, moved = line.says("385911", "two"), line.moves("385911", "385922", **left("385911", "385922"))
    rest: list[InboundEvent] = [words, moved] if late else [moved, words]
    await line.tell(*([] if known else [before]), *rest)
    assert await answered_at(line, "two") == "385922"


async def test_a_closed_conversation_too_is_answered_at_the_new_id(line: Line) -> None:
    await line.tell(line.says("385911", "one", name="Ana"))
    (conversation,) = [c async for c in line.shop.client.conversations.iterate()]
    await line.shop.client.conversations.update(conversation.id, status="closed")
    await line.tell(line.moves("385911", "385922", **left("385911", "385922")))
    assert await answered_at(line, "one") == "385922"


async def test_where_ids_count_per_end_an_edit_is_of_the_message_of_that_end(line: Line) -> None:
    await line.tell(line.says("g-1", "first five", external_id="5", name="Ana"))
    await line.tell(line.moves("g-1", "g-2"))
    await line.tell(line.says("g-2", "second five", external_id="5"))
    edited = MessageEdited(
        address=line.address("g-2"), occurred_at=datetime.now(UTC), external_id="5", content=Text(text="changed")
    )
    await line.tell(edited)
    assert await line.texts() == [["first five", "changed"]]
    await line.tell(line.says("g-2", "a quote", reply_to="5"))
    (conversation,) = [c async for c in line.shop.client.conversations.iterate()]
    messages = (await line.shop.client.messages.list(conversation.id)).items
    assert messages[2].reply_to == messages[1].id


# Ids that change


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("late", [True, False])
async def test_a_move_and_the_first_words_after_it_in_one_batch_are_one_person(
    line: Line, known: bool, late: bool
) -> None:
    before, after = line.says("HR.1", "one", name="Ana"), line.says("HR.2", "two")
    moved = line.moves("HR.1", "HR.2")
    if known:
        await line.tell(before)
    rest: list[InboundEvent] = [after, moved] if late else [moved, after]
    await line.tell(*([] if known else [before]), *rest)
    assert await people_of(line) == {"Ana": {"HR.1", "HR.2"}}
    assert await line.texts() == [["one", "two"]]


@pytest.mark.parametrize("late", [True, False])
async def test_two_moves_in_one_batch_lead_to_the_same_person(line: Line, late: bool) -> None:
    await line.tell(line.says("HR.1", "one", name="Ana"))
    moves: list[InboundEvent] = [line.moves("HR.1", "HR.2"), line.moves("HR.2", "HR.3")]
    await line.tell(*(reversed(moves) if late else moves))
    await line.tell(line.says("HR.3", "two"))
    assert await people_of(line) == {"Ana": {"HR.1", "HR.2", "HR.3"}}
    assert await line.texts() == [["one", "two"]]


async def test_a_number_that_comes_back_is_the_first_owners_again(line: Line) -> None:
    await line.tell(line.says("HR.1", "I am Ana", "385911", name="Ana"))
    await line.tell(line.says("HR.2", "I am Boris", "385911", name="Boris"))
    await line.tell(line.says("HR.1", "Ana again", "385911"))
    assert await people_of(line) == {"Ana": {"HR.1", "385911"}, "Boris": {"HR.2"}}
    assert await line.texts() == [["I am Ana", "Ana again"], ["I am Boris"]]


async def test_a_move_that_is_told_late_is_the_providers_word(line: Line) -> None:
    await line.tell(line.says("HR.1", "one", name="Ana"))
    await line.tell(line.says("HR.2", "two", name="Ana too"))
    await line.tell(line.moves("HR.1", "HR.2"))
    await line.tell(line.says("HR.2", "three"))
    assert (await people_of(line))["Ana"] == {"HR.1", "HR.2"}
    assert await line.texts() == [["one", "three"], ["two"]]


async def test_whoever_was_known_by_phone_alone_is_met_again_under_the_new_id(line: Line) -> None:
    await line.tell(line.says("385911", "one", name="Ana", phone="+385911"))
    new = {"aliases": ["HR.2"], "lent": ["385911", "385922"], "phone": "+385922"}
    await line.tell(line.moves("385911", "385922", **new))
    await line.tell(line.says("HR.2", "two"))
    assert await people_of(line) == {"Ana": {"385922", "HR.2"}}
    assert [contact.phone for contact in await line.contacts()] == ["+385922"]
    assert await answered_at(line, "one") == "HR.2"


# What is learned later


async def test_an_echo_knows_its_partner_by_every_id(line: Line) -> None:
    await line.tell(line.says("385911", "one", name="Ana"))
    await line.tell(line.echoes("HR.1", "from the phone", "385911"))
    await line.tell(line.says("HR.1", "two"))
    assert await people_of(line) == {"Ana": {"385911", "HR.1"}}
    assert await line.texts() == [["one", "from the phone", "two"]]


async def test_who_was_written_to_first_gets_a_name_when_they_tell_it(line: Line) -> None:
    await line.tell(line.echoes("HR.1", "Hello"))
    await line.tell(line.says("HR.1", "one", name="Ana", phone="+385911"))
    (contact,) = await line.contacts()
    assert (contact.name, contact.phone) == ("Ana", "+385911")
    events = (await line.shop.client.events_page(types=["contact.updated"])).items
    assert len(events) == 1
    await line.tell(line.says("HR.1", "two", name="Anastasia", phone="+385922"))
    (contact,) = await line.contacts()
    assert (contact.name, contact.phone) == ("Ana", "+385911")


async def test_a_group_is_one_partner_and_each_message_has_its_writer(line: Line) -> None:
    await line.tell(line.says("g-1", "one", name="Ana", phone="+385911", group="The neighbours"))
    await line.tell(line.says("g-1", "two", name="Boris", group="The neighbours"))
    (contact,) = await line.contacts()
    assert (contact.name, contact.phone) == ("The neighbours", None)
    (conversation,) = [c async for c in line.shop.client.conversations.iterate()]
    messages = (await line.shop.client.messages.list(conversation.id)).items
    assert [message.author.name for message in messages] == ["Ana", "Boris"]


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


async def test_a_warning_is_taken_back_and_a_pause_is_not(line: Line) -> None:
    warning = Reason(code="account_warned", detail="The account is going to be disabled.")
    await line.tell(said(line, "account", warning), said(line, "account"))
    states = [
        event.model_dump()["data"] for event in (await line.shop.client.events_page(types=["channel.state"])).items
    ]
    assert [(state.get("state_reason") or {}).get("code") for state in states][-2:] == ["account_warned", None]
    await line.tell(said(line, "account", Reason(code="account_disabled", detail="It is gone.")), said(line, "account"))
    assert (await line.shop.client.channels.get(line.channel)).state == "paused"
