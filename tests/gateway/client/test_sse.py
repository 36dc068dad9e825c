"""The stream parser against the format's own examples and hostile cuts."""

import pytest
from shopbell_client import ServerSentEvent, SSEParser


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def data(*chunks: bytes) -> list[str]:
    return [event.data for event in parse(*chunks)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_is_understood(end: bytes) -> None:
    stream = end.join([b"event: greeting", b"id: 7", b"data: hello", b"", b"data: again", b"", b""])
    assert parse(stream) == [
        ServerSentEvent(event="greeting", id="7", data="hello"),
        ServerSentEvent(data="again"),
    ]


def test_data_lines_are_joined_by_a_newline() -> None:
    assert data(b"data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]


def test_only_one_leading_space_is_dropped() -> None:
    assert data(b"data:test\n\ndata:  test\n\n") == ["test", " test"]


def test_a_field_without_a_colon_has_an_empty_value() -> None:
    assert data(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_comments_and_unknown_fields_are_passed_over() -> None:
    assert data(b": ping\n\n:ping\nmood: good\ndata: x\n: y\n\n") == ["x"]


def test_an_unfinished_block_does_not_come_out_and_does_not_move_the_cursor() -> None:
    parser = SSEParser()
    assert parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n") != []
    assert parser.last_event_id == "1"


def test_a_block_of_an_id_alone_moves_the_cursor_silently() -> None:
    parser = SSEParser()
    assert parser.feed(b"id: 9\n\n") == []
    assert parser.last_event_id == "9"


def test_an_event_without_an_id_leaves_the_cursor_where_it_is() -> None:
    parser = SSEParser()
    [first, second] = parser.feed(b"id: 1\ndata: a\n\nevent: typing\ndata: b\n\n")
    assert (first.id, second.id, parser.last_event_id) == ("1", None, "1")


def test_an_id_with_a_nul_is_ignored() -> None:
    parser = SSEParser()
    [event] = parser.feed(b"id: 1\n\nid: 2\x003\ndata: a\n\n")
    assert (event.id, parser.last_event_id) == (None, "1")


def test_retry_counts_only_when_it_is_all_digits() -> None:
    parser = SSEParser()
    parser.feed(b"retry: 1500\nretry: 2s\nretry: \n\n")
    assert parser.retry_ms == 1500


def test_a_byte_order_mark_at_the_start_is_dropped_and_later_kept() -> None:
    assert data(b"\xef\xbb", b"\xbfdata: a\n\ndata: \xef\xbb\xbfb\n\n") == ["a", "\ufeffb"]


def test_line_separators_that_are_not_line_ends_stay_in_the_data() -> None:
    text = "one\u2028two\x85three\x0bfour"
    assert data(f"data: {text}\n\n".encode()) == [text]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("size", range(1, 12))
def test_the_cuts_between_chunks_do_not_matter(size: int, end: str) -> None:
    lines = ["event: a", "id: 1", "data: grüße 👋", "data: 2", "", ": ping", "", "id: 2", "data: x", "", ""]
    whole = end.join(lines).encode()
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert parse(*chunks) == parse(whole)
    assert data(*chunks) == ["grüße 👋\n2", "x"]


def test_a_line_in_very_many_chunks_is_put_together_in_linear_time() -> None:
    chunks = [b"x"] * 200_000
    assert data(b"data: ", *chunks, b"\n\n") == ["x" * 200_000]
