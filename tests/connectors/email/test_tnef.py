"""winmail.dat unpacked: streams that a helper packs, whole and damaged."""

import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.email.tnef import (
    CODECS,
    DEPTH_MAX,
    FILES_MAX,
    FONT_PAGES,
    RTF_MAX_BYTES,
    PackedFile,
    Unpacked,
    decompress,
    unpack,
)

INT32, OBJECT, STRING8, UNICODE, BINARY = 0x03, 0x0D, 0x1E, 0x1F, 0x102
MESSAGE_INTERFACE: Final = bytes.fromhex("0703020000000000c000000000000046")
BODY, MESSAGE_PROPERTIES, CODEPAGE = (1, 0x0002800C), (1, 0x00069003), (1, 0x00069007)
RENDERING, TITLE, CONTENT, PROPERTIES = (2, 0x00069002), (2, 0x00018010), (2, 0x0006800F), (2, 0x00069005)


def stream(*attributes: bytes) -> bytes:
    return b"\x78\x9f\x3e\x22\x01\x00" + b"".join(attributes)


def attribute(about: tuple[int, int], data: bytes = b"") -> bytes:
    return struct.pack("<BII", *about, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*each: bytes) -> bytes:
    return struct.pack("<I", len(each)) + b"".join(each)


def prop(id: int, kind: int, *values: bytes, name: bytes = b"") -> bytes:
    if kind == INT32:
        return struct.pack("<HH", kind, id) + name + values[0]
    sized = b"".join(struct.pack("<I", len(value)) + padded(value) for value in values)
    return struct.pack("<HH", kind, id) + name + struct.pack("<I", len(values)) + sized


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def file(*each: bytes, title: bytes = b"SHORT~1.PDF", content: bytes | None = b"%PDF") -> bytes:
    data = b"" if content is None else attribute(CONTENT, content)
    return attribute(RENDERING) + data + attribute(TITLE, title + b"\0") + attribute(PROPERTIES, properties(*each))


def message(*each: bytes) -> bytes:
    return attribute(MESSAGE_PROPERTIES, properties(*each))


def codepage(page: int) -> bytes:
    return attribute(CODEPAGE, struct.pack("<II", page, 0))


def utf16(text: str) -> bytes:
    return (text + "\0").encode("utf-16-le")


def packed(rtf: bytes) -> bytes:
    """Compressed RTF that consists of letters alone."""
    runs = b"".join(b"\0" + rtf[at : at + 8] for at in range(0, len(rtf), 8))
    return struct.pack("<III", len(runs) + 12, len(rtf), 0x75465A4C) + b"\0\0\0\0" + runs


def rtf_message(rtf: bytes) -> bytes:
    return stream(message(prop(0x1009, BINARY, packed(rtf))))


def inner(data: bytes, *each: bytes) -> bytes:
    return file(prop(0x3701, OBJECT, MESSAGE_INTERFACE + data), *each, title=b"", content=None)


def names(unpacked: Unpacked) -> list[str | None]:
    return [file.name for file in unpacked.files]


FROM_HTML: Final = (
    rb"{\rtf1\ansi\ansicpg1251\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}{\f1\fnil\fcharset238 Arial;}}"
    rb"{\colortbl\red0\green0\blue0;}\uc1\pard\plain\f0 {\*\htmltag64 <p title='a\'e1\{\}'>}\htmlrtf \par {\b\htmlrtf0 "
    rb"\'cf\'f0\'e8 {\*\htmltag84 &amp;}\htmlrtf &\htmlrtf0  \u1076?a\f1\'e8\htmlrtf }\htmlrtf0 \tab {\*\mhtmltag1 no}"
    b"\r\n"
    rb"{\*\other no}\ldblquote\\{\*\htmltag72 </p>}{\*\htmltag4 \par }}"
)
RTF: Final = (
    rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset204 Arial;}}{\info{\author No}}{\*\generator No;}\f0 "
    rb"\'c4\'e0\par\uc2 \u-10179 ab\u-8704\'01\'02!{\pict\bin4 }}}}No}\line end}No"
)
SAMPLE: Final = stream(
    codepage(1251),
    attribute(BODY, "Привет\r\nОт нас\0".encode("cp1251")),
    message(
        prop(0x8001, UNICODE, utf16("named"), name=b"g" * 16 + struct.pack("<II", 1, 6) + padded(b"n\0a\0\0\0")),
        prop(0x8002, INT32, b"\1\0\0\0", name=b"g" * 16 + struct.pack("<II", 0, 9)),
        prop(0x1234, 0x1000 | UNICODE, utf16("one"), utf16("three")),
        struct.pack("<HHI", 0x1002, 0x1235, 2) + b"\1\0\0\0\2\0\0\0",
        prop(0x0037, UNICODE, utf16("Order 7/8")),
        prop(0x1009, BINARY, packed(FROM_HTML)),
    ),
    file(prop(0x3707, UNICODE, utf16("Счёт № 7.pdf")), prop(0x370E, STRING8, b"application/pdf\0")),
    inner(stream(message(prop(0x0037, STRING8, b"Re: it\0"), prop(0x1013, BINARY, "<p>да</p>".encode())), file())),
)


def test_the_message_and_its_files_are_unpacked() -> None:
    found = unpack(SAMPLE)
    assert found.text == "Привет\nОт нас"
    assert found.html is not None
    assert found.html.startswith("<p")
    assert found.files == (
        PackedFile("Счёт № 7.pdf", "application/pdf", b"%PDF"),
        PackedFile("Re it.html", "text/html", "\ufeff<p>да</p>".encode()),
        PackedFile("SHORT~1.PDF", None, b"%PDF"),
    )


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ((), "SHORT~1.PDF"),
        ((prop(0x3001, STRING8, b"Shown\0"),), "SHORT~1.PDF"),
        ((prop(0x3704, STRING8, b"SHORT~2.PDF\0"),), "SHORT~2.PDF"),
        ((prop(0x3707, STRING8, b"A long name.pdf\0junk"),), "A long name.pdf"),
        ((prop(0x3707, STRING8, "Счёт.pdf\0".encode("cp1251")),), "Счёт.pdf"),
        ((prop(0x3707, UNICODE, utf16("Račun 👍.pdf")),), "Račun 👍.pdf"),
        ((prop(0x3707, UNICODE, utf16(" ")),), "SHORT~1.PDF"),
        ((prop(0x3707, INT32, b"\1\0\0\0"),), "SHORT~1.PDF"),
    ],
)
def test_a_file_has_the_best_of_its_names(said: Sequence[bytes], name: str) -> None:
    assert names(unpack(stream(codepage(1251), file(*said)))) == [name]


def test_a_file_may_come_with_no_name_in_a_property_and_for_the_html() -> None:
    said = (prop(0x3701, BINARY, b"GIF89a"), prop(0x3712, UNICODE, utf16("<logo@shop>")))
    found = unpack(stream(file(*said, title=b"", content=None)))
    assert found.files == (PackedFile(None, None, b"GIF89a", "logo@shop"),)


def test_what_has_no_data_is_no_file() -> None:
    empty = file(prop(0x3701, OBJECT, MESSAGE_INTERFACE), content=None)
    assert names(unpack(stream(file(content=None), empty, file(title=b"", content=b""), file(content=b"")))) == [
        "SHORT~1.PDF"
    ]


@pytest.mark.parametrize(
    "said",
    [
        (prop(0x1013, UNICODE, utf16("<p>č</p>")),),
        (prop(0x1013, STRING8, b"<p>\xe8</p>\0"),),
        (prop(0x1013, BINARY, b"<p>\xe8</p>"),),
        (prop(0x1013, BINARY, "<p>č</p>\0".encode()),),
        (prop(0x1013, BINARY, "<p>č</p>".encode()), prop(0x3FDE, INT32, struct.pack("<I", 65001))),
        (prop(0x1013, BINARY, "<p>č</p>".encode("iso8859-2")), prop(0x3FDE, INT32, struct.pack("<I", 28592))),
        (prop(0x1013, BINARY, b"<p>\xe8</p>"), prop(0x1009, BINARY, packed(FROM_HTML))),
        (prop(0x1013, BINARY, b""), prop(0x1009, BINARY, packed(rb"{\rtf1\ansicpg1250\fromhtml1 <p>\'e8</p>}"))),
    ],
)
def test_the_html_is_read_in_its_own_code_page(said: Sequence[bytes]) -> None:
    assert unpack(stream(codepage(1250), message(*said))) == Unpacked(None, "<p>č</p>", ())


def test_every_code_page_has_a_codec() -> None:
    assert {b"a".decode(codec) for codec in CODECS.values()} == {"a"}
    assert set(FONT_PAGES.values()) <= CODECS.keys()


def test_html_is_taken_out_of_rtf() -> None:
    assert unpack(rtf_message(FROM_HTML)).html == "<p title='aб{}'>При &amp; дač\t“\\</p>\n"


def test_the_words_are_taken_out_of_rtf() -> None:
    assert unpack(rtf_message(RTF)) == Unpacked("Да\n😀!\nend", None, ())


def test_a_body_goes_before_the_words_of_rtf() -> None:
    assert unpack(stream(attribute(BODY, b"Body\0"), message(prop(0x1009, BINARY, packed(RTF))))).text == "Body"


@pytest.mark.parametrize(
    ("data", "rtf"),
    [  # the examples of MS-OXRTFCP, section 3
        (
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
        ),
        ("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
        ("10000000040000004d454c41000000007b5c7d7d00", b"{\\}}"),
        ("", b""),
        ("10000000040000004c5a4675000000000261", b"a"),
    ],
)
def test_rtf_is_decompressed(data: str, rtf: bytes) -> None:
    assert decompress(bytes.fromhex(data), 100) == rtf
    assert decompress(bytes.fromhex(data), 3) == rtf[:3]


@pytest.mark.parametrize("data", [b"", b"\x78\x9f\x3e", b"PK\x03\x04" * 9, SAMPLE[1:]])
def test_what_is_no_tnef_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no TNEF"):
        unpack(data)


def test_a_stream_that_breaks_off_gives_what_came_before() -> None:
    whole = unpack(SAMPLE)
    parts = [unpack(SAMPLE[:end]) for end in range(4, len(SAMPLE))]
    assert {part.text for part in parts} == {None, whole.text}
    assert [len(part.files) for part in parts] == sorted(len(part.files) for part in parts)
    assert (parts[-1].text, parts[-1].html, parts[-1].files) == (whole.text, whole.html, whole.files)
    cut = unpack(SAMPLE[: SAMPLE.rindex(struct.pack("<I", RENDERING[1])) - 1])
    assert cut.html == whole.html


def test_messages_inside_messages_are_unpacked_up_to_a_depth() -> None:
    data = stream(attribute(BODY, b"Deep\0"))
    for _ in range(DEPTH_MAX):
        data = stream(inner(data, prop(0x3001, STRING8, b"a/b\0")))
    assert unpack(data).files == (PackedFile("a b.txt", "text/plain", b"Deep"),)
    (deeper,) = unpack(stream(inner(data, prop(0x3001, STRING8, b"Outer\0")))).files
    assert (deeper.name, deeper.mime) == ("a/b", "application/ms-tnef")
    assert unpack(deeper.content).text == "Deep"


def test_there_are_no_more_files_than_the_limit() -> None:
    many = file(content=b"x") * FILES_MAX
    assert len(unpack(stream(many, file())).files) == FILES_MAX
    assert len(unpack(stream(inner(stream(many)), inner(stream(many)), many)).files) <= FILES_MAX


ENDLESS: Final = struct.pack("<I", 2**32 - 1)


def endless(start: bytes) -> bytes:
    """Properties that say that there are more of them than can be."""
    return stream(attribute(MESSAGE_PROPERTIES, ENDLESS + start + b"\0" * 4_000_000))


def references() -> bytes:
    """Compressed RTF of which every two bytes become seventeen: what was written last, again."""
    pairs = [struct.pack(">H", ((207 + 17 * at - 1) % 4096) << 4 | 15) for at in range(800_000)]
    runs = b"".join(b"\xff" + b"".join(pairs[at : at + 8]) for at in range(0, len(pairs), 8))
    return stream(message(prop(0x1009, BINARY, packed(b"")[:16] + runs)))


HOSTILE: Final[dict[str, Callable[[], bytes]]] = {
    "attributes": lambda: stream(attribute((1, 0)) * 500_000),
    "attachments": lambda: stream(attribute(RENDERING) * 500_000),
    "properties": lambda: endless(b""),
    "values": lambda: endless(b"\x1e\x10\1\0" + ENDLESS),
    "values of no length": lambda: endless(b"\x01\x10\1\0" + ENDLESS),
    "references": references,
    "braces": lambda: rtf_message(b"{\\rtf1" + b"{" * 4_000_000),
    "groups": lambda: rtf_message(b"{\\rtf1" + b"{}" * 2_000_000),
    "letters": lambda: rtf_message(b"{\\rtf1" + b"\\u1 \\'e9" * 500_000),
    "code pages": lambda: rtf_message(b"{\\rtf1" + b"".join(b"\\ansicpg%d" % page for page in range(300_000))),
    "words": lambda: rtf_message(b"{\\rtf1" + b"\x80" * 6_000_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_streams_cost_seconds_and_megabytes_at_most(data: Callable[[], bytes]) -> None:
    hostile = data()
    start = time.perf_counter()
    assert_bounded(hostile)
    assert time.perf_counter() - start < 20  # about 2 at the most; the rest is for a busy machine


def assert_bounded(data: bytes) -> None:
    found = unpack(data)
    said = sum(len((words or "").encode()) for words in (found.text, found.html))
    assert said + sum(len(file.content) for file in found.files) <= 4 * len(data) + 3 * RTF_MAX_BYTES
    assert len(found.files) <= FILES_MAX


INTERESTING: Final = st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x02\x10", b"{", b"\\u"])


@settings(max_examples=500, deadline=5000)
@given(st.lists(st.tuples(st.integers(4, len(SAMPLE)), INTERESTING | st.binary(max_size=8), st.booleans()), max_size=8))
def test_damaged_streams_never_fail(damages: list[tuple[int, bytes, bool]]) -> None:
    data = SAMPLE
    for at, piece, inserted in damages:
        data = data[:at] + piece + data[at if inserted else at + len(piece) :]
    assert_bounded(data)


@settings(deadline=5000)
@given(st.binary(max_size=300))
def test_random_bytes_never_fail(data: bytes) -> None:
    assert_bounded(stream(data))
    assert_bounded(stream(message(prop(0x1009, BINARY, packed(data)))))
    assert_bounded(stream(message(prop(0x1009, BINARY, packed(b"")[:16] + data))))
    assert_bounded(stream(attribute(MESSAGE_PROPERTIES, b"\xff\0\0\0" + data)))
