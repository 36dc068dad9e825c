"""Typed ids: one spelling for each UUID, and nothing else is taken."""

import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import ALPHABET, MESSAGE, SHOP, MalformedId, least_uuid, new_id, new_uuid, read_id, show_id

LARGEST = uuid.UUID(int=2**128 - 1)


@given(st.uuids())
def test_an_id_reads_back_as_the_uuid_that_it_shows(value: uuid.UUID) -> None:
    shown = show_id(MESSAGE, value)
    assert read_id(MESSAGE, shown) == value
    assert len(shown) == len("msg_") + 26


@given(st.uuids(), st.uuids())
def test_ids_sort_as_their_uuids_do(one: uuid.UUID, other: uuid.UUID) -> None:
    assert (show_id(MESSAGE, one) < show_id(MESSAGE, other)) == (one < other)


@given(st.text(ALPHABET + "ABCilou_-", max_size=30))
def test_whatever_is_read_has_only_that_spelling(suffix: str) -> None:
    try:
        value = read_id(MESSAGE, f"msg_{suffix}")
    except MalformedId:
        return
    assert show_id(MESSAGE, value) == f"msg_{suffix}"


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("msg_00000000000000000000000000", uuid.UUID(int=0)),
        ("msg_00000000000000000000000001", uuid.UUID(int=1)),
        ("msg_0000000000000000000000000g", uuid.UUID(int=16)),
        ("msg_00000000000000000000000010", uuid.UUID(int=32)),
        ("msg_01h455vb4pex5vsknk084sn02q", uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")),
        ("msg_7zzzzzzzzzzzzzzzzzzzzzzzzz", LARGEST),
    ],
)
def test_an_id_is_spelled_as_the_specification_of_typeid_says(shown: str, value: uuid.UUID) -> None:
    assert show_id(MESSAGE, value) == shown
    assert read_id(MESSAGE, shown) == value


GOOD = "msg_01h455vb4pex5vsknk084sn02q"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "msg",
        "msg_",
        GOOD.upper(),
        GOOD.replace("h", "H"),
        GOOD.replace("msg", "shp"),
        GOOD.replace("msg", "Msg"),
        GOOD.replace("msg_", ""),
        GOOD.replace("msg_", "_"),
        GOOD.replace("msg_", "msg__"),
        GOOD.replace("msg_", "x_msg_"),
        GOOD.replace("msg_", "msg-"),
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD[:-1] + "i",
        GOOD[:-1] + "l",
        GOOD[:-1] + "o",
        GOOD[:-1] + "u",
        GOOD[:-1] + "é",
        GOOD[:-1] + "٣",
        "msg_8" + "0" * 25,
        "msg_" + "z" * 26,
        str(LARGEST),
    ],
)
def test_anything_but_the_canonical_spelling_is_refused(text: str) -> None:
    with pytest.raises(MalformedId) as caught:
        read_id(MESSAGE, text)
    assert "msg_" in str(caught.value)


def test_an_id_of_one_kind_is_not_one_of_another() -> None:
    with pytest.raises(MalformedId):
        read_id(SHOP, new_id(MESSAGE))


def test_later_ids_are_greater_and_none_comes_twice() -> None:
    ids = [new_id(MESSAGE) for _ in range(2000)]
    assert all(one < other for one, other in pairwise(ids))


def test_a_new_uuid_is_of_version_7() -> None:
    value = new_uuid()
    assert isinstance(value, uuid.UUID)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)


def test_what_is_made_from_a_moment_on_is_not_below_its_least_uuid_and_what_was_made_before_is() -> None:
    before, made, after = datetime.now(UTC), new_uuid(), datetime.now(UTC)
    assert least_uuid(before) <= made < least_uuid(after + timedelta(milliseconds=1))
