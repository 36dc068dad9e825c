"""What a channel cannot carry is refused beforehand, with a sentence that says what to do."""

import pytest
from hypothesis import given

from shared.capabilities import Capabilities, Level, MediaRule, check_content
from shared.content import (
    Buttons,
    Choice,
    ContactCard,
    Content,
    Location,
    Media,
    MediaKind,
    Opaque,
    Option,
    Order,
    Reaction,
    Template,
    Text,
)
from shared.errors import Unsupported
from shared.events import Fate
from tests.shared.strategies import contents

PNG = frozenset({"image/png"})
TWO = (Option(id="a", label="A"), Option(id="b", label="B"))


def media(
    kind: MediaKind = "image", *, mime: str | None = "image/png", size: int | None = 1, caption: str = ""
) -> Media:
    return Media(media=kind, attachment="att_1", mime=mime, size=size, caption=caption)


def image_rule(*, mimes: frozenset[str] = PNG, max_bytes: int | None = 10, caption_max: int | None = 3) -> Capabilities:
    rule = MediaRule(level=Level.FULL, mimes=mimes, max_bytes=max_bytes, caption_max=caption_max)
    return Capabilities(media={"image": rule})


@pytest.mark.parametrize(
    ("capabilities", "content"),
    [
        (Capabilities(text=Level.FULL), Text(text="hi")),
        (Capabilities(text=Level.FULL, text_max=2), Text(text="hi")),
        (Capabilities(text=Level.FULL), Text(text="x" * 100_000)),
        (image_rule(), media()),
        (image_rule(), media(size=10, caption="abc")),
        (image_rule(), media(size=None)),
        (image_rule(mimes=frozenset()), media(mime="image/heic")),
        (image_rule(mimes=frozenset()), media(mime=None)),
        (image_rule(max_bytes=None, caption_max=None), media(size=2**40, caption="x" * 9999)),
        (Capabilities(location=Level.FULL), Location(latitude=0, longitude=0)),
        (Capabilities(contact_card=Level.FALLBACK), ContactCard(name="Ann")),
        (Capabilities(buttons=Level.FALLBACK), Buttons(text="?", options=TWO)),
        (Capabilities(buttons=Level.FULL, buttons_max=2, text_max=1), Buttons(text="?", options=TWO)),
        (Capabilities(template=Level.FULL), Template(name="t", language="en")),
        (Capabilities(reaction=Level.FULL), Reaction(emoji="👍", target="x")),
        (Capabilities(reaction=Level.FULL), Reaction(emoji="", target="x")),
    ],
)
def test_what_the_channel_can_carry_passes(capabilities: Capabilities, content: Content) -> None:
    check_content(capabilities, content)


@pytest.mark.parametrize(
    ("capabilities", "content", "says"),
    [
        (Capabilities(), Text(text="hi"), "cannot carry text"),
        (Capabilities(text=Level.FULL), Text(text=""), "empty"),
        (Capabilities(text=Level.FULL), Text(text=" \n\t"), "empty"),
        (Capabilities(text=Level.FULL, text_max=2), Text(text="hi!"), "3 characters and this channel takes 2"),
        (Capabilities(), media(), "cannot carry a message of kind image"),
        (image_rule(), media("video"), "cannot carry a message of kind video"),
        (image_rule(), media(mime="image/gif"), r"image/png, not image/gif"),
        (image_rule(), media(mime=None), r"image/png"),
        (image_rule(), media(size=11), "11 bytes and this channel takes 10"),
        (image_rule(), media(caption="abcd"), "caption is longer than 3"),
        (Capabilities(), Location(latitude=0, longitude=0), "cannot carry locations"),
        (Capabilities(), ContactCard(name="Ann"), "cannot carry contact cards"),
        (Capabilities(), Buttons(text="?", options=TWO), "cannot carry buttons"),
        (Capabilities(buttons=Level.FULL, buttons_max=1), Buttons(text="?", options=TWO), "at most 1 buttons"),
        (Capabilities(buttons=Level.FULL, text_max=1), Buttons(text="??", options=TWO), "2 characters"),
        (Capabilities(buttons=Level.FULL), Buttons(text=" ", options=TWO), "empty"),
        (Capabilities(), Template(name="t", language="en"), "cannot carry templates"),
        (Capabilities(), Reaction(emoji="👍", target="x"), "cannot carry reactions"),
        (Capabilities(text=Level.FULL), Choice(id="a", label="A"), "only ever comes from a customer"),
        (Capabilities(text=Level.FULL), Order(items=()), "only ever comes from a customer"),
        (Capabilities(text=Level.FULL), Opaque(what="poll"), "only ever comes from a customer"),
    ],
)
def test_what_the_channel_cannot_carry_is_refused_with_the_reason(
    capabilities: Capabilities, content: Content, says: str
) -> None:
    with pytest.raises(Unsupported, match=says) as caught:
        check_content(capabilities, content)
    assert caught.value.fate is Fate.NEVER


def test_what_goes_above_buttons_may_be_shorter_than_a_text_and_ids_tell_buttons_apart() -> None:
    can = Capabilities(text=Level.FULL, buttons=Level.FULL, text_max=100, buttons_text_max=10)
    red, blue = Option(id="r", label="Red"), Option(id="b", label="Blue")
    check_content(can, Text(text="x" * 100))
    check_content(can, Buttons(text="x" * 10, options=(red, blue)))
    with pytest.raises(Unsupported, match="takes 10"):
        check_content(can, Buttons(text="x" * 11, options=(red, blue)))
    with pytest.raises(Unsupported, match="same id"):
        check_content(can, Buttons(text="x", options=(red, blue, red)))


@given(contents)
def test_a_channel_that_declares_nothing_carries_nothing(content: Content) -> None:
    with pytest.raises(Unsupported):
        check_content(Capabilities(), content)


@given(contents)
def test_a_refusal_never_repeats_the_words(content: Content) -> None:
    capabilities = Capabilities(text=Level.FULL, text_max=0, buttons=Level.FULL)
    marked = content.model_copy(update={"text": "canary"}) if isinstance(content, Text | Buttons) else content
    if isinstance(marked, Text | Media | Buttons):
        with pytest.raises(Unsupported) as caught:
            check_content(capabilities, marked)
        assert "canary" not in caught.value.detail


def test_levels_are_ordered() -> None:
    assert Level.NONE < Level.FALLBACK < Level.FULL
    assert not Level.NONE


def test_capabilities_are_data_that_survives_json() -> None:
    capabilities = image_rule()
    assert Capabilities.model_validate_json(capabilities.model_dump_json()) == capabilities
