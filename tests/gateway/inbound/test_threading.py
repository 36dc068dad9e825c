"""To which conversation a mail belongs: the rule by itself, and what becomes of it on the database."""

import asyncio
import hashlib
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shopbell_client import Client, Conversation, Event, Message, ValidationFailed
from shopbell_client.content import Media as ShownFile
from shopbell_client.content import Text as Shown

from gateway.inbound.threading import DETAIL, Code, Found, Placement, decide
from shared.content import Media, Text
from shared.events import Authenticity, Bounce, Mail, MailClass, MessageReceived, Sender
from shared.ids import CONVERSATION, read_id
from tests.gateway.inbound.mails import Mailbox, Writer, facts, new_mailbox, new_posting_mailbox, posted_to
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute, query

# The rule

SENDER, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
MACHINES = tuple(kind for kind in MailClass if kind is not MailClass.NORMAL)


def found(
    owner: uuid.UUID = SENDER, *, topic: str = "order 7", n: int = 1, signed: bool = False, invited: bool = False
) -> Found:
    return Found(owner, f"thread {n}", topic, uuid.UUID(int=100 + n), signed, invited)


MINE, THEIRS, GUEST_OF = found(), found(OTHER, n=2), found(OTHER, n=3, invited=True)
OURS, OUR_GUEST = found(signed=True), found(OTHER, n=5, signed=True, invited=True)
NAMES = {"references": ("x@mail.example",)}


@pytest.mark.parametrize(
    ("mail", "named", "same_subject", "code", "joined"),
    [
        (facts("Order 7"), [], None, "first", None),
        (facts("Order 7"), [], MINE, "first", None),  # the same words by chance
        (facts("Re: Order 7"), [], None, "first", None),
        (facts("Re: Order 7"), [], MINE, "same_subject", MINE),
        (facts("Re: Order 7", authenticity="unknown"), [], MINE, "first", None),
        (facts("Re: Order 7", authenticity="suspicious"), [], MINE, "first", None),
        (facts("Re: Order 7", **NAMES), [], None, "unknown_reference", None),
        (facts("Re: Order 7", **NAMES), [], MINE, "same_subject", MINE),
        (facts("Re: Order 7", authenticity="unknown", **NAMES), [], MINE, "unknown_reference", None),
        (facts("Re: Order 7", **NAMES), [MINE], None, "reference", MINE),
        (facts("Re: Order 7", authenticity="unknown", **NAMES), [MINE], None, "reference", MINE),
        (facts("Order 7", **NAMES), [MINE], None, "reference", MINE),
        (facts("Re: Order 7", **NAMES), [OURS], None, "signed", OURS),
        (facts("Re: Order 7", **NAMES), [OURS, found(n=4)], None, "signed", OURS),
        (facts("Re: Order 7", **NAMES), [found(n=4), OURS], None, "reference", found(n=4)),
        (facts("Re: Order 7", **NAMES), [GUEST_OF], None, "reference", GUEST_OF),
        (facts("Re: Order 7", **NAMES), [OUR_GUEST], None, "signed", OUR_GUEST),
        (facts("Re: Order 7", **NAMES), [THEIRS], None, "stranger", None),
        (facts("Re: Order 7", **NAMES), [replace(THEIRS, signed=True)], None, "stranger", None),
        (facts("Re: Order 7", **NAMES), [THEIRS], MINE, "stranger", None),
        (facts("Re: Order 7", **NAMES), [THEIRS, MINE], None, "reference", MINE),
        (facts("Another order", **NAMES), [MINE], None, "subject_changed", None),
        (facts("Re: Another order", **NAMES), [OURS], None, "subject_changed", None),
        (facts("Another order", **NAMES), [GUEST_OF], None, "subject_changed", None),
        (facts("", **NAMES), [MINE], None, "reference", MINE),
        (facts("Order 7", **NAMES), [found(topic="")], None, "reference", found(topic="")),
        *(
            (facts("Out of office", category=kind, **NAMES), [MINE], None, "reference", MINE)
            for kind in MACHINES
        ),
        (facts("Out of office", category="auto_reply", **NAMES), [THEIRS], None, "stranger", None),
        (facts("Re: Order 7", authenticity="suspicious", **NAMES), [MINE], None, "suspicious", None),
        (facts("Re: Order 7", authenticity="suspicious", **NAMES), [OURS], None, "suspicious", None),
        (facts("Re: Order 7", authenticity="suspicious", ours=("msg_1",)), [OURS], None, "suspicious", None),
        (facts("Re: Order 7", authenticity="suspicious", **NAMES), [GUEST_OF], None, "suspicious", None),
        (facts("Re: Order 7", authenticity="suspicious", **NAMES), [], MINE, "suspicious", None),
        (facts("Order 7", authenticity="suspicious"), [], None, "first", None),
    ],
)  # fmt: skip
def test_a_mail_joins_what_it_refers_to_if_its_sender_belongs_there(
    mail: Mail, named: list[Found], same_subject: Found | None, code: Code, joined: Found | None
) -> None:
    placement = decide(mail, SENDER, named, same_subject)
    assert (placement.code, placement.found) == (code, joined)
    if code in ("reference", "signed"):
        assert joined is not None
        assert placement.named == joined.message_id
    elif code in ("subject_changed", "stranger", "suspicious"):
        assert placement.named == (named[0].message_id if named else None), "what would have led elsewhere is told"
    else:
        assert placement.named is None


def test_every_placement_shows_its_code_its_reason_and_the_message_that_led_there() -> None:
    for code, detail in DETAIL.items():
        assert Placement(code).show() == {"code": code, "detail": detail, "message": None}
    shown = Placement("reference", MINE, MINE.message_id).show()["message"]
    assert shown is not None
    assert shown.startswith("msg_")


TOPICS = st.sampled_from(["order 7", "another order", ""])
FOUND = st.builds(
    Found,
    contact_id=st.sampled_from([SENDER, OTHER, uuid.UUID(int=3)]),
    thread=st.sampled_from(["a", "b", "c"]),
    topic=TOPICS,
    message_id=st.uuids(version=4),
    signed=st.booleans(),
    invited=st.booleans(),
)
STRANGE = FOUND.map(lambda one: replace(one, contact_id=OTHER, invited=False))
OWN_SUBJECT = st.none() | FOUND.map(lambda one: replace(one, contact_id=SENDER, invited=False))
MAILS = st.builds(
    Mail,
    category=st.sampled_from(MailClass),
    authenticity=st.sampled_from(Authenticity),
    references=st.lists(st.sampled_from(["a@x", "b@x", "c@x"]), max_size=3, unique=True).map(tuple),
    topic=TOPICS,
    answers=st.booleans(),
)


def conversation_of(placement: Placement) -> tuple[uuid.UUID, str] | None:
    return (placement.found.contact_id, placement.found.thread) if placement.found else None


@given(MAILS, st.lists(FOUND, max_size=4), OWN_SUBJECT)
def test_a_suspicious_mail_never_joins(mail: Mail, named: list[Found], same_subject: Found | None) -> None:
    doubted = mail.model_copy(update={"authenticity": Authenticity.SUSPICIOUS})
    assert decide(doubted, SENDER, named, same_subject).found is None


@given(MAILS, st.lists(FOUND, max_size=4), OWN_SUBJECT)
def test_whoever_neither_owns_a_conversation_nor_was_invited_never_joins_it(
    mail: Mail, named: list[Found], same_subject: Found | None
) -> None:
    joined = decide(mail, SENDER, named, same_subject).found
    assert joined is None or joined.contact_id == SENDER or joined.invited


@given(MAILS, FOUND, st.lists(st.uuids(version=4), min_size=2, max_size=4, unique=True), st.integers(1, 3))
def test_of_equal_candidates_the_order_says_only_which_is_named(
    mail: Mail,
    one: Found,
    ids: list[uuid.UUID],
    turn: int,
) -> None:
    equal = [replace(one, message_id=message_id) for message_id in ids]
    before = decide(mail, SENDER, equal, None)
    equal = [*equal[turn:], *equal[:turn]]
    after = decide(mail, SENDER, equal, None)
    assert (after.code, conversation_of(after)) == (before.code, conversation_of(before))
    assert after.named == equal[0].message_id, "the nearest is named"


@given(MAILS, st.lists(FOUND, min_size=1, max_size=4), st.lists(FOUND, max_size=3))
def test_what_is_named_after_a_match_changes_nothing(mail: Mail, named: list[Found], further: list[Found]) -> None:
    before = decide(mail, SENDER, named, None)
    if before.found is not None:
        assert decide(mail, SENDER, [*named, *further], None) == before


@given(MAILS, st.lists(FOUND, max_size=3), STRANGE, st.integers(0, 3), st.sampled_from(["y@x", "z@x"]))
def test_unrelated_references_never_move_a_mail_that_had_a_match(
    mail: Mail, named: list[Found], strange: Found, place: int, unknown: str
) -> None:
    before = decide(mail, SENDER, named, None)
    if before.found is None:
        return
    more = mail.model_copy(update={"references": (unknown, *mail.references)})
    assert decide(more, SENDER, named, None) == before
    assert decide(more, SENDER, [*named[:place], strange, *named[place:]], None) == before


@given(MAILS, FOUND.map(lambda one: replace(one, contact_id=SENDER)), st.sampled_from(["y@x", "z@x"]))
def test_a_reference_to_nothing_that_is_here_leaves_the_subject_to_decide(
    mail: Mail, same_subject: Found, unknown: str
) -> None:
    before = decide(mail, SENDER, [], same_subject)
    if before.found is not None:
        more = mail.model_copy(update={"references": (*mail.references, unknown)})
        assert decide(more, SENDER, [], same_subject) == before


# On the database


@pytest.fixture
async def box(running: Running, shop: Shop) -> Mailbox:
    return await new_mailbox(running, shop)


@pytest.fixture
async def posting(running: Running, shop: Shop) -> Mailbox:
    """One from which answers go out."""
    return await new_posting_mailbox(running, shop)


def why(message: Message) -> str:
    assert message.mail is not None
    assert message.mail.placement is not None
    assert message.mail.placement.detail == DETAIL[message.mail.placement.code]  # type: ignore[index]
    return message.mail.placement.code


def led_by(message: Message) -> str | None:
    assert message.mail is not None
    assert message.mail.placement is not None
    return message.mail.placement.message


async def conversations(shop: Shop) -> list[Conversation]:
    return list((await shop.client.conversations.list(limit=100)).items)


async def texts(shop: Shop, conversation_id: str) -> list[str]:
    shown = (await shop.client.messages.list(conversation_id, limit=100)).items
    return [one.content.text for one in shown if isinstance(one.content, Shown)]


async def news(shop: Shop, after: str | None = None) -> list[Event]:
    return list((await shop.client.events_page(after=after, limit=500)).items)


async def now(shop: Shop) -> str:
    return (await shop.client.events_page(after="now")).next


# What joins


async def test_a_reply_joins_the_conversation_of_the_mail_that_it_names(box: Mailbox) -> None:
    anna = box.writer()
    mail = anna.mail("Where is it?")
    first = await anna.sends(mail)
    reply = await anna.sends(anna.reply(mail, "Nobody?", reply_to=mail.external_id))
    assert (why(first), led_by(first)) == ("first", None)
    assert (why(reply), led_by(reply), reply.reply_to) == ("reference", first.id, first.id)
    (conversation,) = await conversations(box.shop)
    assert (reply.conversation, conversation.subject, conversation.last_seq) == (conversation.id, "Order 7", 2)
    further = await anna.sends(
        anna.mail("?", "RE: order 7", references=("lost@mail.example", mail.external_id), topic="order 7")
    )
    assert (why(further), further.conversation) == ("reference", first.conversation)


async def test_a_reply_to_a_message_of_ours_joins_before_anybody_knows_whether_that_went_out(box: Mailbox) -> None:
    anna = box.writer()
    first = await anna.sends(anna.mail())
    answer = await box.shop.client.messages.send(first.conversation, text="On its way.")
    assert not (await box.shop.client.messages.get(answer.id)).parts
    reply = await anna.sends(anna.mail("Thanks", "Re: Order 7", references=("ours@shop.example",), ours=(answer.id,)))
    assert (why(reply), led_by(reply), reply.conversation) == ("signed", answer.id, first.conversation)


async def test_an_id_of_ours_leads_nowhere_from_another_mailbox_or_another_shop(box: Mailbox, shop: Shop) -> None:
    anna = box.writer()
    first = await anna.sends(anna.mail())
    answer = await shop.client.messages.send(first.conversation, text="On its way.")
    other = (await new_mailbox(box.running, shop)).known_as(anna.peer)
    for token in (answer.id, "msg_00000000000000000000000000", "no id at all"):
        mail = other.mail(references=("ours@shop.example",), ours=(token,))
        assert why(await other.sends(mail)) == "unknown_reference"


async def test_a_reply_to_an_answer_joins_by_the_id_that_the_answer_had_at_the_server(posting: Mailbox) -> None:
    anna, client = posting.writer(), posting.shop.client
    first = await anna.sends(anna.mail())
    answer = await client.messages.send(first.conversation, text="On its way.")
    sent = await eventually(lambda: client.messages.get(answer.id), lambda one: one.parts)
    (mail,) = await posted_to(anna)
    external_id = str(sent.parts[0].external_id)
    assert mail.message["Message-ID"] == f"<{external_id}>"
    reply = await anna.sends(anna.mail("Thanks", "Re: Order 7", references=(external_id,)))
    assert (why(reply), led_by(reply), reply.conversation) == ("reference", answer.id, first.conversation)


async def test_a_reply_that_comes_in_one_batch_with_what_it_answers_joins_it(box: Mailbox) -> None:
    anna = box.writer()
    mails = [anna.mail("1")]
    for n in range(2, 5):
        mails.append(anna.reply(mails[-1], str(n)))
    last = await anna.sends(*mails)
    assert why(last) == "reference"
    assert await texts(box.shop, last.conversation) == ["1", "2", "3", "4"]
    assert len(await conversations(box.shop)) == 1


async def test_an_answer_without_a_word_of_what_it_answers_joins_the_last_mail_with_its_subject(box: Mailbox) -> None:
    anna, boris = box.writer(), box.writer("boris")
    older, newer = await anna.sends(anna.mail("1")), await anna.sends(anna.mail("2"))
    assert older.conversation != newer.conversation
    answer = await anna.sends(anna.mail("3", "Re: Order 7"))
    assert (why(answer), led_by(answer), answer.conversation) == ("same_subject", None, newer.conversation)
    assert why(await boris.sends(boris.mail("4", "Re: Order 7"))) == "first"
    assert why(await anna.sends(anna.mail("5", "Re: Order 7", authenticity="unknown"))) == "first"
    assert why(await anna.sends(anna.mail("6", "Re: Order 8"))) == "first"
    await execute(
        box.running, "UPDATE conversations SET updated_at = now() - interval '31 days' WHERE shop_id = :id",
        id=box.shop.uuid,
    )  # fmt: skip
    assert why(await anna.sends(anna.mail("7", "Re: Order 7"))) == "first", "too long ago to be meant"


# Guests and strangers


async def test_who_was_written_to_as_well_joins_and_answers_still_go_to_the_customer(posting: Mailbox) -> None:
    anna, guest, client = posting.writer(), posting.writer("guest"), posting.shop.client
    mail = anna.mail("Where is it?", audience=(guest.peer,), sender=Sender(name="Anna"))
    first = await anna.sends(mail)
    reply = await guest.sends(guest.reply(mail, "I wonder too.", sender=Sender(name="Her husband")))
    assert (why(reply), reply.conversation, reply.author.name) == ("reference", first.conversation, "Her husband")
    conversation = await anna.conversation_of(first)
    assert (conversation.contact.name, conversation.unread) == ("Anna", 2)
    await client.messages.send(first.conversation, text="Tomorrow.")
    await eventually(lambda: posted_to(anna))
    assert not await posted_to(guest)


@pytest.mark.parametrize("together", [True, False])
async def test_a_guest_invites_nobody(box: Mailbox, together: bool) -> None:
    anna, guest, friend = box.writer(), box.writer("guest"), box.writer("friend")
    mail = anna.mail("1", audience=(guest.peer,))
    theirs = guest.reply(mail, "2", audience=(friend.peer,))
    reply = friend.reply(theirs, "3")
    await in_batches(box, mail, theirs, reply, together=together)
    strange = await friend.seen(reply)
    assert why(strange) == "stranger"
    assert await texts(box.shop, (await anna.seen(mail)).conversation) == ["1", "2"]


async def in_batches(box: Mailbox, *mails: MessageReceived, together: bool) -> None:
    """Hand the mails over: all in one batch, or each in one of its own."""
    for batch in [mails] if together else [(mail,) for mail in mails]:
        await box.writer().tell(*batch)


@pytest.mark.parametrize("together", [True, False])
async def test_a_guest_may_write_at_once_and_a_stranger_who_answers_the_guest_may_not(
    box: Mailbox, together: bool
) -> None:
    anna, guest, eve = box.writer(), box.writer("guest"), box.writer("eve")
    mail = anna.mail("1", audience=(guest.peer,))
    theirs = guest.reply(mail, "2")
    forged = eve.reply(theirs, "3")
    own, again = anna.reply(theirs, "4"), guest.reply(theirs, "5")
    await in_batches(box, mail, theirs, forged, own, again, together=together)
    first = await anna.seen(mail)
    assert await texts(box.shop, first.conversation) == ["1", "2", "4", "5"]
    strange = await eve.seen(forged)
    assert (why(strange), strange.conversation == first.conversation) == ("stranger", False)


async def test_a_guest_who_was_known_before_the_batch_brings_no_stranger_along_in_it(box: Mailbox) -> None:
    anna, guest, eve = box.writer(), box.writer("guest"), box.writer("eve")
    mail = anna.mail("1", audience=(guest.peer,))
    first = await anna.sends(mail)
    theirs = guest.reply(mail, "2")
    strange = eve.reply(theirs, "3")
    await eve.tell(theirs, strange, guest.reply(theirs, "4"))
    assert why(await eve.seen(strange)) == "stranger"
    assert await texts(box.shop, first.conversation) == ["1", "2", "4"]


async def test_who_was_not_written_to_gets_a_conversation_of_their_own(box: Mailbox) -> None:
    anna, eve = box.writer(), box.writer("eve")
    mail = anna.mail()
    first = await anna.sends(mail)
    answer = await box.shop.client.messages.send(first.conversation, text="On its way.")
    for strange in (eve.reply(mail), eve.mail("?", "Re: Order 7", ours=(answer.id,), references=("x@shop.example",))):
        reply = await eve.sends(strange)
        assert (why(reply), led_by(reply) in (first.id, answer.id)) == ("stranger", True)
        assert reply.conversation != first.conversation
        assert (await eve.conversation_of(reply)).contact.id != (await anna.conversation_of(first)).contact.id
    assert (await anna.conversation_of(first)).last_seq == 2


@pytest.mark.parametrize("together", [True, False])
async def test_of_whom_a_machine_wrote_to_nobody_becomes_a_guest(box: Mailbox, together: bool) -> None:
    anna, guest = box.writer(), box.writer("guest")
    mail = anna.mail(audience=(guest.peer,), category="list")
    reply = guest.reply(mail)
    await in_batches(box, mail, reply, together=together)
    assert why(await guest.seen(reply)) == "stranger"


@pytest.mark.parametrize("of", ["the customer", "a guest"])
async def test_a_mail_whose_sender_is_doubted_joins_nothing_whatever_it_names(box: Mailbox, of: str) -> None:
    anna, guest = box.writer(), box.writer("guest")
    mail = anna.mail("1", audience=(guest.peer,))
    first = await anna.sends(mail)
    answer = await box.shop.client.messages.send(first.conversation, text="2")
    writer = anna if of == "the customer" else guest
    forged = writer.reply(mail, "3", authenticity="suspicious", ours=(answer.id,))
    doubted = await writer.sends(forged)
    assert (why(doubted), led_by(doubted)) == ("suspicious", answer.id)
    assert await texts(box.shop, first.conversation) == ["1", "2"]
    assert doubted.mail is not None
    assert doubted.mail.authenticity == "suspicious"


# What splits


async def test_a_new_subject_begins_a_new_conversation_and_says_of_which_it_came(box: Mailbox) -> None:
    anna = box.writer()
    mail = anna.mail()
    first = await anna.sends(mail)
    split = await anna.sends(anna.reply(mail, "Something else", "Delivery to Riga"))
    assert (why(split), led_by(split)) == ("subject_changed", first.id)
    assert split.conversation != first.conversation
    assert {one.subject for one in await conversations(box.shop)} == {"Order 7", "Delivery to Riga"}


@pytest.mark.parametrize("category", MACHINES)
async def test_a_machine_may_give_its_mail_a_subject_of_its_own(box: Mailbox, category: MailClass) -> None:
    anna = box.writer()
    mail = anna.mail()
    first = await anna.sends(mail)
    away = await anna.sends(anna.reply(mail, "I am away", "Out of office", category=category))
    assert (why(away), away.conversation) == ("reference", first.conversation)
    assert (await anna.conversation_of(first)).subject == "Order 7"


async def test_a_mail_to_two_mailboxes_is_two_conversations(box: Mailbox) -> None:
    other = await new_mailbox(box.running, box.shop)
    anna, also_anna = box.writer(), other.known_as("anna@mail.example")
    here, there = anna.mail(id="same@mail.example"), also_anna.mail(id="same@mail.example")
    one, two = await anna.sends(here), await also_anna.sends(there)
    assert (why(one), why(two), one.conversation == two.conversation) == ("first", "first", False)
    replies = await anna.sends(anna.reply(here)), await also_anna.sends(also_anna.reply(there))
    assert [reply.conversation for reply in replies] == [one.conversation, two.conversation]
    assert len(await conversations(box.shop)) == 2


async def test_what_one_person_writes_to_two_mailboxes_stays_apart(box: Mailbox) -> None:
    """Also if we know that it is one person."""
    other = await new_mailbox(box.running, box.shop)
    anna, also_anna = box.writer(), other.writer()
    mail = anna.mail("1", "Order 7", fingerprint="same")
    first = await anna.sends(mail)
    contact = (await anna.conversation_of(first)).contact
    code = (await box.shop.client.contacts.code(contact.id)).code
    copy = also_anna.mail("1", "Order 7", id=mail.external_id, fingerprint="same", payload=code)
    second = await also_anna.sends(copy)
    assert (await also_anna.conversation_of(second)).contact == contact
    assert (why(second), second.conversation == first.conversation) == ("first", False)
    answer = await also_anna.sends(also_anna.mail("2", "Re: Order 7"))
    assert (why(answer), answer.conversation) == ("same_subject", second.conversation)
    elsewhere = anna.mail("3", "Order 8")
    await anna.sends(elsewhere)
    assert why(await also_anna.sends(also_anna.mail("4", "Re: Order 8"))) == "first"
    assert why(await also_anna.sends(also_anna.reply(elsewhere, "5", "Order 8"))) == "unknown_reference"


async def test_the_same_mail_lands_once_and_another_with_its_id_lands_too(box: Mailbox) -> None:
    anna = box.writer()
    mail = anna.mail("1", id="same@mail.example", fingerprint="a")
    await anna.tell(mail, mail)
    await anna.tell(mail.model_copy(update={"raw": b"another way through the servers"}))
    await anna.sends(anna.mail("2", id="same@mail.example", fingerprint="b"))
    said = [text for one in await conversations(box.shop) for text in await texts(box.shop, one.id)]
    assert sorted(said) == ["1", "2"]


async def test_a_message_id_that_another_mail_had_opens_no_door(box: Mailbox) -> None:
    """Anybody may copy one, and some programs give all their mails the same."""
    anna = box.writer()
    mail = anna.mail("1")
    first = await anna.sends(mail)
    forged = await anna.sends(anna.mail("2", id=mail.external_id, authenticity="suspicious"))
    another = await anna.sends(anna.mail("3", "Order 8", id=mail.external_id))
    assert len({first.conversation, forged.conversation, another.conversation}) == 3
    reply = await anna.sends(anna.reply(mail, "4", "Re: Order 8"))
    assert reply.conversation == another.conversation, "the newest that has this id"


@pytest.mark.parametrize("together", [True, False])
async def test_of_what_is_named_the_nearest_counts_whether_it_came_before_or_along(
    box: Mailbox, together: bool
) -> None:
    anna = box.writer()
    mail = anna.mail("1")
    await anna.sends(mail)
    split = anna.reply(mail, "2", "Delivery to Riga")
    reply = anna.mail("3", "Re: Delivery to Riga", references=(split.external_id, mail.external_id))
    await in_batches(box, split, reply, together=together)
    landed = await anna.seen(reply)
    assert why(landed) == "reference"
    assert await texts(box.shop, landed.conversation) == ["2", "3"]


# Closed conversations, and machines


@pytest.fixture
async def closed(box: Mailbox) -> tuple[Writer, MessageReceived, Message]:
    """An answered and closed conversation: whose it is, its first mail, and that mail as the API shows it."""
    anna = box.writer()
    mail = anna.mail()
    first = await anna.sends(mail)
    await anna.sends(anna.echo(references=(mail.external_id,), subject="Re: Order 7"))
    await box.shop.client.conversations.update(first.conversation, status="closed")
    return anna, mail, first


async def test_a_person_who_replies_opens_a_closed_conversation_again(
    closed: tuple[Writer, MessageReceived, Message],
) -> None:
    anna, mail, first = closed
    after = await now(anna.shop)
    reply = await anna.sends(anna.reply(mail))
    conversation = await anna.conversation_of(first)
    assert (reply.conversation, conversation.status, conversation.closed_at) == (first.conversation, "open", None)
    assert conversation.waiting_since is not None
    assert [event.type for event in await news(anna.shop, after)] == ["conversation.reopened", "message.received"]


@pytest.mark.parametrize("category", MACHINES)
async def test_a_machine_that_replies_leaves_a_closed_conversation_closed(
    closed: tuple[Writer, MessageReceived, Message], category: MailClass
) -> None:
    anna, mail, first = closed
    before, after = await anna.conversation_of(first), await now(anna.shop)
    bounce = Bounce(recipient=anna.peer, status="5.1.1") if category is MailClass.BOUNCE else None
    reply = await anna.sends(anna.reply(mail, "Nobody is here", category=category, bounce=bounce))
    conversation = await anna.conversation_of(first)
    assert (reply.conversation, conversation.status) == (first.conversation, "closed")
    assert (conversation.closed_at, conversation.waiting_since) == (before.closed_at, None)
    assert (conversation.unread, conversation.last_seq) == (before.unread + 1, before.last_seq + 1)
    assert [event.type for event in await news(anna.shop, after)] == ["message.received"]
    assert reply.mail is not None
    assert reply.mail.category == category.value
    assert (reply.mail.bounce and reply.mail.bounce.status) == (bounce and bounce.status)
    person = await anna.sends(anna.reply(mail, "I am back."))
    assert (person.conversation, (await anna.conversation_of(first)).status) == (first.conversation, "open")


async def test_of_a_machine_and_a_person_in_one_batch_the_person_opens_the_conversation(
    closed: tuple[Writer, MessageReceived, Message],
) -> None:
    anna, mail, first = closed
    after = await now(anna.shop)
    await anna.sends(anna.reply(mail, category="auto_reply"), anna.reply(mail), anna.reply(mail, category="auto_reply"))
    conversation = await anna.conversation_of(first)
    assert (conversation.status, conversation.waiting_since is not None) == ("open", True)
    told = [event.type for event in await news(anna.shop, after)]
    assert told == ["conversation.reopened", *["message.received"] * 3]


@pytest.mark.parametrize("category", MACHINES)
async def test_nobody_waits_because_of_a_machine_and_no_machine_answers(box: Mailbox, category: MailClass) -> None:
    anna = box.writer()
    first = await anna.sends(anna.mail(category=category))
    assert (await anna.conversation_of(first)).waiting_since is None
    mail = anna.mail()
    question = await anna.sends(mail)
    waiting = (await anna.conversation_of(question)).waiting_since
    assert waiting is not None
    ours = await anna.sends(anna.echo(references=(mail.external_id,), subject="Re: Order 7", category=category))
    assert (ours.conversation, ours.direction, ours.status) == (question.conversation, "out", "sent")
    await anna.sends(anna.reply(mail, category=category))
    assert (await anna.conversation_of(question)).waiting_since == waiting
    await anna.sends(anna.echo(references=(mail.external_id,), subject="Re: Order 7"))
    assert (await anna.conversation_of(question)).waiting_since is None, "a person has answered"


@pytest.mark.parametrize("category", MACHINES)
async def test_a_machine_is_answered_by_a_person_only(posting: Mailbox, category: MailClass) -> None:
    anna, shop = posting.writer(), posting.shop
    mail = anna.mail()
    first = await anna.sends(mail)
    bot = await shop.client.agents.create(name="Bot", type="bot")
    async with Client(shop.url, (await shop.client.agents.token(bot.id)).token) as client:
        await client.messages.send(first.conversation, text="We have got your mail.")
        await anna.sends(anna.reply(mail, "I am away", category=category))
        for by_a_person in ("Have a good time.", "And come back."):
            with pytest.raises(ValidationFailed, match="only a person may answer") as refused:
                await client.messages.send(first.conversation, text="We have got your mail.")
            assert (refused.value.status, refused.value.code) == (422, "unsupported")
            await client.messages.send(first.conversation, text="For the next of us.", visibility="internal")
            await shop.client.messages.send(first.conversation, text=by_a_person)
        await anna.sends(anna.reply(mail, "I am back"))
        await client.messages.send(first.conversation, text="We have got your mail.")


async def test_who_writes_to_a_conversation_closed_long_ago_begins_a_new_one(
    closed: tuple[Writer, MessageReceived, Message],
) -> None:
    anna, mail, first = closed
    await closed_days_ago(anna, first, 8)
    reply = await anna.sends(anna.reply(mail))
    assert (why(reply), led_by(reply)) == ("closed_long_ago", first.id)
    assert reply.conversation != first.conversation
    assert (await anna.conversation_of(reply)).contact == (await anna.conversation_of(first)).contact
    further = await anna.sends(anna.reply(mail))
    assert further.conversation == reply.conversation


async def test_a_guest_who_writes_to_a_conversation_closed_long_ago_begins_one_of_their_own(box: Mailbox) -> None:
    """Else it would be the customer's by its contact, and be answered to the guest."""
    anna, guest = box.writer(), box.writer("guest")
    mail = anna.mail(audience=(guest.peer,))
    first = await anna.sends(mail)
    await box.shop.client.conversations.update(first.conversation, status="closed")
    await closed_days_ago(anna, first, 8)
    theirs = guest.reply(mail)
    reply = await guest.sends(theirs)
    assert (why(reply), led_by(reply)) == ("closed_long_ago", first.id)
    new = await guest.conversation_of(reply)
    assert new.contact.id == reply.author.id
    assert (new.id, new.contact.id) != (first.conversation, (await anna.conversation_of(first)).contact.id)
    assert (await guest.sends(guest.reply(theirs))).conversation == new.id


async def closed_days_ago(writer: Writer, message: Message, days: int) -> None:
    await execute(
        writer.running, "UPDATE conversations SET closed_at = now() - make_interval(days => :days) WHERE id = :id",
        days=days, id=read_id(CONVERSATION, message.conversation),
    )  # fmt: skip


# Who it is


@pytest.mark.parametrize(
    ("authenticity", "proof"), [("verified", "provider"), ("unknown", "guess"), ("suspicious", "guess")]
)
async def test_an_address_is_proven_by_a_server_that_checked_it_and_else_a_guess(
    box: Mailbox, authenticity: str, proof: str
) -> None:
    anna = box.writer()
    message = await anna.sends(anna.mail(authenticity=authenticity))
    contact = await box.shop.client.contacts.get((await anna.conversation_of(message)).contact.id)
    assert [(one.peer, one.proof) for one in contact.identities] == [(anna.peer, proof)]


# All at once


async def test_sixteen_first_mails_at_once_are_one_conversation_each_of_one_person(box: Mailbox) -> None:
    anna = box.writer()
    mails = [anna.mail(str(n), f"Order {n}") for n in range(16)]
    await asyncio.gather(*(anna.tell(mail) for mail in mails for _ in range(2)))
    found = await conversations(box.shop)
    assert sorted(one.subject or "" for one in found) == sorted(f"Order {n}" for n in range(16))
    assert {one.last_seq for one in found} == {1}
    assert len({one.contact.id for one in found}) == 1
    assert len((await box.shop.client.contacts.list()).items) == 1


async def test_sixteen_replies_at_once_are_in_one_conversation_and_none_is_lost(box: Mailbox) -> None:
    anna, guest = box.writer(), box.writer("guest")
    mail = anna.mail("first", audience=(guest.peer,))
    first = await anna.sends(mail)
    replies = [(anna, guest)[n % 2].reply(mail, str(n)) for n in range(16)]
    await asyncio.gather(*(anna.tell(reply) for reply in replies))
    assert len(await conversations(box.shop)) == 1
    said = await texts(box.shop, first.conversation)
    assert (said[0], sorted(said[1:], key=int)) == ("first", [str(n) for n in range(16)])


# Files


RAW = b"From: anna@mail.example\r\n\r\nHello?"
KEY = hashlib.sha256(RAW).hexdigest()


async def test_the_files_of_a_mail_are_expected_fetched_and_shown_on_it(box: Mailbox, http: httpx.AsyncClient) -> None:
    await box.running.core.files.keep(f"mail_{KEY}", RAW)
    here = Media(media="file", source=f"{KEY}/raw", mime="message/rfc822", name="mail.eml", size=len(RAW))
    gone = Media(media="file", source=f"{KEY}/no such part", mime="text/plain", name="gone.txt")
    never = Media(media="file", name="large.eml", failure="It stays in the mailbox.")
    anna = box.writer()
    mail = anna.mail(content=Text(text="See the files.", attachments=(here, gone, never)))
    message = await anna.sends(mail)
    shown = files_of(message)
    assert [(one.name, one.url) for one in shown] == [("mail.eml", None), ("gone.txt", None), ("large.eml", None)]
    assert ([one.attachment is not None for one in shown], shown[2].failure) == ([True, True, False], never.failure)
    settled = await eventually(
        lambda: anna.seen(mail), lambda one: files_of(one)[0].url and files_of(one)[1].failure
    )  # fmt: skip
    first, second, _ = files_of(settled)
    assert first.url is not None
    assert (await http.get(box.shop.url + httpx.URL(first.url).raw_path.decode())).content == RAW
    assert (first.attachment, first.size, first.failure) == (shown[0].attachment, len(RAW), None)
    assert (second.url, second.failure) == (None, "The file could not be had: The file is not in the mail.")
    assert isinstance(settled.content, Shown)
    assert settled.content.text == "See the files."
    told = [event for event in await news(box.shop) if event.type == "message.media"]
    assert len(told) == 2
    assert told[-1].data == settled
    rows = await query(box.running, "SELECT state FROM attachments WHERE shop_id = :id", id=box.shop.uuid)
    assert sorted(row.state for row in rows) == ["kept", "lost"]


def files_of(message: Message) -> tuple[ShownFile, ...]:
    assert isinstance(message.content, Shown)
    return message.content.attachments


async def test_a_text_with_files_goes_out_as_one_mail(posting: Mailbox) -> None:
    anna, shop = posting.writer(), posting.shop
    first = await anna.sends(anna.mail())
    sent = await shop.client.messages.send(first.conversation, content=await with_files(shop, "a.txt", "b.txt"))
    shown = files_of(sent)
    assert [(one.name, one.size, one.url is not None) for one in shown] == [("a.txt", 5, True), ("b.txt", 5, True)]
    (mail,) = await eventually(lambda: posted_to(anna))
    carried = [(part.get_filename(), part.get_content()) for part in mail.message.iter_attachments()]
    assert carried == [("a.txt", "a.txt"), ("b.txt", "b.txt")]


async def test_a_text_with_files_is_refused_where_a_text_carries_none(running: Running, shop: Shop) -> None:
    message = await Customer(running, shop).writes("Hello?")
    with pytest.raises(ValidationFailed, match="a text carries no files") as refused:
        await shop.client.messages.send(message.conversation, content=await with_files(shop, "a.txt"))
    assert refused.value.code == "unsupported"


async def with_files(shop: Shop, *names: str) -> dict[str, Any]:
    kept = [await shop.client.attachments.create(name.encode(), name=name, mime="text/plain") for name in names]
    files = [{"kind": "media", "media": "file", "attachment": one.id} for one in kept]
    return {"kind": "text", "text": "Here they are.", "attachments": files}
