"""Any value of the shared vocabulary, for property tests anywhere.

Texts have NUL, half surrogate pairs and separators on purpose: providers and customers send such things.
"""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Final

from hypothesis import strategies as st
from pydantic import JsonValue

from shared.commands import AnyCommand, DeleteMessage, EditMessage, FetchMedia, MarkRead, SendMessage, SetTyping
from shared.content import (
    Album,
    Buttons,
    Choice,
    ContactCard,
    Content,
    Location,
    Media,
    Opaque,
    Option,
    Order,
    OrderItem,
    Reaction,
    Template,
    TemplateButton,
    Text,
)
from shared.events import (
    Address,
    ChannelReported,
    Echo,
    Evidence,
    Fate,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerBlocked,
    PeerConnected,
    PeerMoved,
    Reason,
    ReceiptReported,
    Sender,
    SendOutcome,
    Status,
    TypingReported,
    Undigested,
)
from shared.subjects import Delivery, InboundBatch

ODD: Final = ("", "|", ",", "%", "\x00", "\ud800", "\udfff", "a|b", "%7C", "👍🏽", "\u202e", "\ufffd", "İ")

texts: Final = st.one_of(st.text(st.characters(exclude_categories=()), max_size=12), st.sampled_from(ODD))
some_text: Final = texts.filter(bool)
maybe_text: Final = st.none() | texts
plain: Final = st.text("abc_019-|", min_size=1, max_size=8)

times: Final = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    datetime(2199, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11))]),
)

json_values: Final[st.SearchStrategy[JsonValue]] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
notes: Final = st.dictionaries(texts, json_values, max_size=2)

addresses: Final = st.builds(Address, channel=plain, account=texts, peer=some_text, thread=maybe_text)
senders: Final = st.builds(
    Sender,
    name=maybe_text,
    username=maybe_text,
    locale=maybe_text,
    phone=maybe_text,
    aliases=st.lists(some_text, max_size=2).map(tuple),
)
reasons: Final = st.builds(Reason, code=texts, detail=texts)

media: Final = st.builds(
    Media,
    media=st.sampled_from(["image", "audio", "voice", "video", "sticker", "file"]),
    attachment=st.none() | plain,
    source=maybe_text,
    mime=maybe_text,
    size=st.none() | st.integers(0, 2**40),
    name=maybe_text,
    caption=maybe_text,
    caption_html=maybe_text,
    url=maybe_text,
    album=maybe_text,
    failure=maybe_text,
)

contents: Final[st.SearchStrategy[Content]] = st.one_of(
    st.builds(Text, text=texts, html=maybe_text, full_text=maybe_text),
    media,
    st.builds(Album, items=st.lists(media, min_size=2, max_size=3).map(tuple)),
    st.builds(
        Location,
        latitude=st.floats(-90, 90, allow_nan=False),
        longitude=st.floats(-180, 180, allow_nan=False),
        label=maybe_text,
    ),
    st.builds(
        ContactCard,
        name=texts,
        phones=st.lists(texts, max_size=2).map(tuple),
        emails=st.lists(texts, max_size=2).map(tuple),
    ),
    st.builds(Choice, id=texts, label=texts),
    st.builds(
        Buttons,
        text=texts,
        options=st.lists(st.builds(Option, id=texts, label=texts, description=maybe_text), min_size=1, max_size=3).map(
            tuple
        ),
        menu=maybe_text,
    ),
    st.builds(
        Template,
        name=texts,
        language=texts,
        values=st.lists(texts, max_size=2).map(tuple),
        named=st.dictionaries(texts, texts, max_size=2),
        header_values=st.lists(texts, max_size=1).map(tuple),
        header_media=st.none() | media,
        buttons=st.lists(
            st.builds(
                TemplateButton,
                index=st.integers(0, 9),
                action=st.sampled_from(["quick_reply", "url", "copy_code"]),
                value=texts,
            ),
            max_size=1,
        ).map(tuple),
    ),
    st.builds(
        Order,
        items=st.lists(
            st.builds(
                OrderItem,
                product=texts,
                quantity=st.none() | st.integers(1, 99),
                price=maybe_text,
                currency=st.none() | plain,
            ),
            max_size=2,
        ).map(tuple),
        catalog=maybe_text,
        text=maybe_text,
    ),
    st.builds(Reaction, emoji=texts, target=texts),
    st.builds(Opaque, what=texts),
)

outcomes: Final = st.builds(
    SendOutcome,
    attempt=st.integers(1, 9),
    external_ids=st.lists(texts, max_size=2).map(tuple),
    degraded=st.lists(texts, max_size=2).map(tuple),
    fate=st.none() | st.sampled_from(Fate),
    retry_after_s=st.none() | st.floats(0, 1e6, allow_nan=False),
)

event = partial(st.builds, address=addresses, occurred_at=times, raw=st.binary(max_size=12), context=notes)

receipts: Final[st.SearchStrategy[ReceiptReported]] = event(
    ReceiptReported,
    status=st.sampled_from(Status),
    evidence=st.sampled_from(Evidence),
    external_ids=st.lists(texts, max_size=3).map(tuple),
    message_id=st.none() | plain,
    up_to=st.none() | times,
    up_to_id=maybe_text,
    part=st.none() | st.integers(0, 3),
    reason=st.none() | reasons,
    outcome=st.none() | outcomes,
)

events: Final[st.SearchStrategy[InboundEvent]] = st.one_of(
    event(
        MessageReceived,
        external_id=some_text,
        sender=senders,
        content=contents,
        reply_to=maybe_text,
        subject=maybe_text,
        payload=maybe_text,
    ),
    event(MessageEdited, external_id=some_text, content=contents, version=maybe_text),
    event(MessageDeleted, external_id=some_text),
    receipts,
    event(TypingReported, on=st.booleans()),
    event(PeerConnected, external_id=some_text, sender=senders, payload=maybe_text),
    event(PeerBlocked, external_id=some_text),
    event(PeerMoved, external_id=some_text, to=some_text, sender=senders),
    event(
        ChannelReported,
        external_id=some_text,
        topic=st.sampled_from(["templates", "account"]),
        problem=st.none() | reasons,
    ),
    event(
        Echo,
        external_id=some_text,
        content=contents,
        origin=st.sampled_from(["provider_app", "provider_ai", "other_api"]),
        reply_to=maybe_text,
    ),
    event(Undigested, external_id=some_text, headers=st.dictionaries(texts, texts, max_size=2), reason=reasons),
)

batches: Final = st.builds(InboundBatch, channel_id=plain, events=st.lists(events, max_size=3).map(tuple))

command = partial(st.builds, address=addresses, context=notes)
ids: Final = st.lists(some_text, min_size=1, max_size=2).map(tuple)

commands: Final[st.SearchStrategy[AnyCommand]] = st.one_of(
    command(
        SendMessage,
        message_id=plain,
        content=contents,
        reply_to=maybe_text,
        author_name=maybe_text,
        subject=maybe_text,
        from_part=st.integers(0, 3),
        skip=st.lists(st.integers(0, 9), max_size=2).map(tuple),
    ),
    command(EditMessage, message_id=plain, external_ids=ids, content=contents),
    command(DeleteMessage, message_id=plain, external_ids=ids),
    command(MarkRead, external_id=some_text, read_at=times),
    command(SetTyping, on=st.booleans(), author_name=maybe_text),
    command(FetchMedia, message_id=plain, attachment=plain, media=media),
)

deliveries: Final = st.builds(Delivery, channel_id=plain, command=commands, attempt=st.integers(0, 9))
