"""The fold of events into what an agent sees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from shopbell_client import Conversation, Event, Message

from services.terminal.inbox import Inbox, fold
from tests.services.terminal import fake_api

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def conversation(conversation_id: str = "cnv_1", **changes: Any) -> Conversation:
    return Conversation.model_validate(fake_api.conversation(conversation_id, "Anna", **changes))


def message(number: int, **changes: Any) -> dict[str, Any]:
    return fake_api.message(number, changes.pop("conversation", "cnv_1"), f"text {number}", **changes)


def event(type_: str, data: dict[str, Any]) -> Event:
    return Event.model_validate({"type": type_, "conversation": data.get("conversation"), "data": data})


def fold_all(inbox: Inbox, *events: Event) -> Inbox:
    for one in events:
        inbox = fold(inbox, one, now=NOW)
    return inbox


def opened(*conversations: Conversation) -> Inbox:
    return Inbox().with_conversations(conversations or [conversation()]).with_thread("cnv_1")


def out(number: int, status: str = "queued", **changes: Any) -> dict[str, Any]:
    return message(number, direction="out", status=status, author={"type": "agent", "id": "agt_1"}, **changes)


def test_a_received_message_is_unread_and_its_customer_waits() -> None:
    inbox = fold_all(opened(), event("message.received", message(1)), event("message.received", message(2)))
    found = inbox.conversations["cnv_1"]
    assert (found.unread, found.last_seq) == (2, 2)
    assert found.waiting_since == datetime(2026, 11, 22, 10, 1, tzinfo=UTC)
    assert [one.seq for one in inbox.messages("cnv_1")] == [1, 2]


def test_an_event_from_before_the_list_was_read_changes_nothing() -> None:
    listed = opened(conversation(last_seq=5, unread=1))
    assert fold_all(listed, event("message.received", message(5))).conversations["cnv_1"].unread == 1


def test_nobody_waits_because_of_a_machine_and_no_machine_answers() -> None:
    automatic = fake_api.mail(**{"class": "auto_reply"})
    inbox = fold_all(opened(), event("message.received", message(1, mail=automatic)))
    found = inbox.conversations["cnv_1"]
    assert (found.unread, found.last_seq, found.waiting_since) == (1, 1, None)
    inbox = fold_all(inbox, event("message.received", message(2, mail=fake_api.mail())))
    inbox = fold_all(inbox, event("message.status", out(3, "sent", mail=automatic)))
    assert inbox.conversations["cnv_1"].waiting_since == datetime(2026, 11, 22, 10, 2, tzinfo=UTC)


def test_an_answer_ends_the_wait_and_a_note_does_not() -> None:
    waiting = fold_all(opened(), event("message.received", message(1)))
    noted = fold_all(waiting, event("message.queued", out(2, visibility="internal")))
    answered = fold_all(noted, event("message.queued", out(3)))
    assert noted.conversations["cnv_1"].waiting_since is not None
    assert answered.conversations["cnv_1"].waiting_since is None


def test_a_late_delivered_does_not_unread_a_message() -> None:
    inbox = fold_all(
        opened(),
        *(event("message.status", out(1, status)) for status in ("queued", "read", "delivered", "sent")),
    )
    assert inbox.messages("cnv_1")[0].status == "read"


def test_a_failed_message_can_be_queued_again() -> None:
    inbox = fold_all(opened(), *(event("message.status", out(1, status)) for status in ("sent", "failed", "queued")))
    assert inbox.messages("cnv_1")[0].status == "queued"


def test_an_uncertain_message_can_turn_out_sent() -> None:
    inbox = fold_all(opened(), *(event("message.status", out(1, status)) for status in ("uncertain", "sent")))
    assert inbox.messages("cnv_1")[0].status == "sent"


def test_a_deletion_and_an_edit_are_not_undone_by_an_older_view() -> None:
    edited = message(1, edited_at="2026-11-22T10:05:00Z", content={"kind": "text", "text": "new"})
    deleted = message(2, deleted_at="2026-11-22T10:05:00Z")
    inbox = fold_all(opened(), event("message.edited", edited), event("message.deleted", deleted))
    stale = [Message.model_validate(message(1)), Message.model_validate(message(2))]
    first, second = inbox.with_thread("cnv_1", stale).messages("cnv_1")
    assert first.content.model_dump()["text"] == "new"
    assert second.deleted_at is not None


def test_an_older_view_of_a_conversation_does_not_win() -> None:
    newer = conversation(status="closed", updated_at="2026-11-22T10:09:00Z")
    older = conversation(status="open", updated_at="2026-11-22T10:08:00Z")
    inbox = Inbox().with_conversations([newer]).with_conversations([older])
    assert inbox.conversations["cnv_1"].status == "closed"


def test_a_conversation_nobody_listed_is_named_until_it_is_met() -> None:
    inbox = fold_all(Inbox(), event("message.received", message(1)))
    assert inbox.unknown == {"cnv_1"}
    assert inbox.with_conversations([conversation()]).unknown == set()


def test_the_last_line_in_the_list_follows_the_fate_of_the_message() -> None:
    inbox = fold_all(opened(), event("message.queued", out(1)), event("message.status", out(1, "read")))
    last = inbox.conversations["cnv_1"].last_message
    assert last is not None
    assert last.status == "read"


def test_typing_fades_and_ends_with_the_message() -> None:
    signal = {"conversation": "cnv_1", "on": True, "by": "contact"}
    typing = fold_all(opened(), event("typing", signal))
    assert typing.is_typing("cnv_1", NOW)
    assert not typing.is_typing("cnv_1", NOW + timedelta(seconds=9))
    assert not fold_all(typing, event("message.received", message(1))).is_typing("cnv_1", NOW)
    assert not fold_all(typing, event("typing", {**signal, "on": False})).is_typing("cnv_1", NOW)
    assert not fold_all(opened(), event("typing", {**signal, "by": "agent"})).is_typing("cnv_1", NOW)


def test_the_list_has_the_last_moved_on_top() -> None:
    inbox = opened(conversation("cnv_1"), conversation("cnv_2"))
    inbox = fold_all(inbox, event("message.received", message(1)))
    assert [one.id for one in inbox.ordered()] == ["cnv_1", "cnv_2"]


def test_next_waiting_goes_round_by_length_of_wait() -> None:
    inbox = opened(
        conversation("cnv_1", waiting_since="2026-11-22T10:02:00Z"),
        conversation("cnv_2", waiting_since="2026-11-22T10:01:00Z"),
        conversation("cnv_3"),
    )
    assert inbox.next_waiting(None) == "cnv_2"
    assert inbox.next_waiting("cnv_3") == "cnv_2"
    assert inbox.next_waiting("cnv_2") == "cnv_1"
    assert inbox.next_waiting("cnv_1") == "cnv_2"
    assert Inbox().next_waiting(None) is None


def test_reading_leaves_what_came_meanwhile_unread() -> None:
    inbox = fold_all(opened(), *(event("message.received", message(number)) for number in (1, 2, 3)))
    newest = inbox.unread_up_to("cnv_1")
    assert newest is not None
    assert newest.seq == 3
    assert inbox.with_read("cnv_1", 2).conversations["cnv_1"].unread == 1
    assert inbox.with_read("cnv_1", 3).unread_up_to("cnv_1") is None


def test_a_thread_that_was_not_opened_asks_for_no_reading() -> None:
    inbox = fold_all(Inbox().with_conversations([conversation()]), event("message.received", message(1)))
    assert inbox.unread_up_to("cnv_1") is None


def test_a_renamed_contact_is_renamed_in_the_list() -> None:
    renamed = event("contact.updated", {"id": "cnt_cnv_1", "name": "Anna Petrova"})
    assert fold_all(opened(), renamed).conversations["cnv_1"].contact.name == "Anna Petrova"


def test_an_event_nobody_knows_changes_nothing() -> None:
    inbox = opened()
    assert fold_all(inbox, event("parcel.arrived", {"door": 3}), event("message.received", {"odd": 1})) is inbox


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["queued", "sent", "delivered", "read"]))))
def test_events_told_twice_are_as_events_told_once(told: list[tuple[int, str]]) -> None:
    events = [event("message.status", out(number, status)) for number, status in told]
    assert fold_all(opened(), *events, *events) == fold_all(opened(), *events)
