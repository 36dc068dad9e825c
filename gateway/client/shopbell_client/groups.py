"""The calls, grouped as the API groups its resources. Each raises a ShopbellError when refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from pydantic import BaseModel, JsonValue

from shopbell_client.content import Content
from shopbell_client.models import (
    Agent,
    AgentToken,
    Attachment,
    Channel,
    Check,
    Contact,
    Conversation,
    Inbound,
    Key,
    LinkCode,
    Message,
    NewKey,
    Page,
    ReadResult,
    Receipt,
    TemplateText,
)
from shopbell_client.wire import QueryValue, Wire

__all__ = ["Agents", "Attachments", "Channels", "Contacts", "Conversations", "InboundJournal", "Keys", "Messages"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Body = Mapping[str, Any] | None


class ConversationFilter(TypedDict, total=False):
    """What a list of conversations may be narrowed to; `assignee` may be "none" instead of an id."""

    status: str | None
    channel: str | None
    assignee: str | None
    contact: str | None
    waiting: bool | None


class ConversationChanges(TypedDict, total=False):
    status: str
    tags: Sequence[str]
    priority: int


class ChannelChanges(TypedDict, total=False):
    name: str
    state: str
    settings: Mapping[str, JsonValue]


class ContactFields(TypedDict, total=False):
    """Leave a field out to leave it as it is; None empties it."""

    name: str | None
    email: str | None
    phone: str | None
    locale: str | None
    attributes: Mapping[str, JsonValue]


class AgentChanges(TypedDict, total=False):
    name: str
    email: str | None


class Group:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def _get(self, model: type[M], *path: str) -> M:
        return await self._wire.one(model, "GET", _path(path))

    async def _page(self, model: type[M], *path: str, **query: QueryValue) -> Page[M]:
        return await self._wire.page(model, _path(path), query)

    async def _post(self, model: type[M], *path: str, key: str | None, body: Body = None) -> M:
        return await self._wire.one(model, "POST", _path(path), body=body, idempotency_key=key)

    async def _patch(self, model: type[M], *path: str, body: Body, if_match: str | None) -> M:
        return await self._wire.one(model, "PATCH", _path(path), body=body, if_match=if_match)

    async def _delete(self, *path: str) -> None:
        await self._wire.send("DELETE", _path(path))


class Listed(Group, Generic[M]):
    """What every list has: its pages, and a walk over all of them."""

    _model: type[M]
    _name: str

    async def list(self, *, limit: int | None = None, after: str | None = None, before: str | None = None) -> Page[M]:
        """Return the first page, or the one after `next` or before `prev` of another."""
        return await self._page(self._model, self._name, limit=limit, after=after, before=before)

    def iterate(self, *, limit: int | None = None) -> AsyncIterator[M]:
        """Walk all pages, `limit` items per request."""
        return _forward(lambda after: self.list(limit=limit, after=after))


class Readable(Listed[M]):
    """What most resources have besides: one by id."""

    async def get(self, resource_id: str) -> M:
        return await self._get(self._model, self._name, resource_id)


class Conversations(Group):
    async def list(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        **narrow: Unpack[ConversationFilter],
    ) -> Page[Conversation]:
        cursors = {"limit": limit, "after": after, "before": before}
        return await self._wire.page(Conversation, "/v1/conversations", {**cursors, **_dict(narrow)})

    def iterate(self, *, limit: int | None = None, **narrow: Unpack[ConversationFilter]) -> AsyncIterator[Conversation]:
        """Walk all pages, `limit` conversations per request."""
        return _forward(lambda after: self.list(limit=limit, after=after, **narrow))

    async def get(self, conversation_id: str) -> Conversation:
        return await self._get(Conversation, "conversations", conversation_id)

    async def read(
        self,
        conversation_id: str,
        *,
        up_to: str | None = None,
        message_ids: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> ReadResult:
        """Mark read up to one message, or some messages, and say whether the customer was told."""
        if (up_to is None) == (message_ids is None):
            raise ValueError("Give either up_to or message_ids.")
        body = {"up_to": up_to} if up_to is not None else {"message_ids": [*(message_ids or ())]}
        path = ("conversations", conversation_id, "read")
        return await self._post(ReadResult, *path, body=body, key=idempotency_key)

    async def typing(self, conversation_id: str, *, on: bool = True, idempotency_key: str | None = None) -> None:
        """Show the customer that somebody writes; ValidationFailed where the channel cannot."""
        path = _path(("conversations", conversation_id, "typing"))
        await self._wire.send("POST", path, body={"on": on}, idempotency_key=idempotency_key)

    async def assign(
        self, conversation_id: str, *, agent: str | None, idempotency_key: str | None = None
    ) -> Conversation:
        """Give the conversation to an agent, or to nobody with None."""
        path = ("conversations", conversation_id, "assign")
        return await self._post(Conversation, *path, body={"agent": agent}, key=idempotency_key)

    async def update(
        self, conversation_id: str, *, if_match: str | None = None, **changes: Unpack[ConversationChanges]
    ) -> Conversation:
        path = ("conversations", conversation_id)
        return await self._patch(Conversation, *path, body=_dict(changes), if_match=if_match)


class Messages(Group):
    async def list(
        self, conversation_id: str, *, limit: int | None = None, after: str | None = None, before: str | None = None
    ) -> Page[Message]:
        """Return messages oldest first: without a cursor the newest ones, `prev` leads to older ones."""
        path = ("conversations", conversation_id, "messages")
        return await self._page(Message, *path, limit=limit, after=after, before=before)

    def iterate(
        self, conversation_id: str, *, limit: int | None = None, after: str | None = None
    ) -> AsyncIterator[Message]:
        """Walk all messages newest first; with `after`, those after that cursor, oldest first."""
        if after is not None:
            return _forward(lambda cursor: self.list(conversation_id, limit=limit, after=cursor), after)
        return _backward(lambda cursor: self.list(conversation_id, limit=limit, before=cursor))

    async def send(
        self,
        conversation_id: str,
        *,
        text: str | None = None,
        content: Content | Mapping[str, JsonValue] | None = None,
        reply_to: str | None = None,
        client_ref: str | None = None,
        visibility: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Return the message once the server has it on disk; its `status` then moves through events.

        A `client_ref` of your own is unique per conversation for ever: sending it again, even after
        a crash and without the key, gives the first message back and sends nothing.
        """
        if (text is None) == (content is None):
            raise ValueError("Give either text or content.")
        body = {
            "content": {"kind": "text", "text": text} if content is None else _plain(content),
            **_given(reply_to=reply_to, client_ref=client_ref, visibility=visibility),
        }
        path = ("conversations", conversation_id, "messages")
        return await self._post(Message, *path, body=body, key=idempotency_key)

    async def get(self, message_id: str) -> Message:
        return await self._get(Message, "messages", message_id)

    async def receipts(self, message_id: str) -> tuple[Receipt, ...]:
        """Return everything that was learned about the fate of a message, in order."""
        return (await self._page(Receipt, "messages", message_id, "receipts")).items

    async def retry(self, message_id: str, *, idempotency_key: str | None = None) -> Message:
        """Queue a failed message again."""
        return await self._post(Message, "messages", message_id, "retry", key=idempotency_key)

    async def resolve(self, message_id: str, *, status: str, idempotency_key: str | None = None) -> Message:
        """Say what became of an `uncertain` message: `sent` or `failed`."""
        path = ("messages", message_id, "resolve")
        return await self._post(Message, *path, body={"status": status}, key=idempotency_key)


class Channels(Readable[Channel]):
    _model, _name = Channel, "channels"

    async def create(
        self,
        *,
        type: str,
        name: str,
        settings: Mapping[str, JsonValue] | None = None,
        idempotency_key: str | None = None,
    ) -> Channel:
        body = {"type": type, "name": name, "settings": {**(settings or {})}}
        return await self._post(Channel, "channels", body=body, key=idempotency_key)

    async def update(
        self, channel_id: str, *, if_match: str | None = None, **changes: Unpack[ChannelChanges]
    ) -> Channel:
        return await self._patch(Channel, "channels", channel_id, body=_dict(changes), if_match=if_match)

    async def delete(self, channel_id: str) -> None:
        await self._delete("channels", channel_id)

    async def check(self, channel_id: str) -> Check:
        """Have the provider say whether everything is in order."""
        return await self._post(Check, "channels", channel_id, "check", key=None)

    async def templates(self, channel_id: str, *, renew: bool = False) -> Page[TemplateText]:
        """Texts approved beforehand; `renew` asks the provider first."""
        return await self._page(TemplateText, "channels", channel_id, "templates", renew=renew or None)


class Attachments(Group):
    async def create(
        self, data: bytes, *, name: str | None = None, mime: str | None = None, idempotency_key: str | None = None
    ) -> Attachment:
        """Keep a file; name it in a message within a day."""
        file = (name or "file", data, mime or "application/octet-stream")
        return await self._wire.one(Attachment, "POST", "/v1/attachments", file=file, idempotency_key=idempotency_key)

    async def get(self, attachment_id: str) -> Attachment:
        return await self._get(Attachment, "attachments", attachment_id)


class Contacts(Readable[Contact]):
    _model, _name = Contact, "contacts"

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[ContactFields]) -> Contact:
        return await self._post(Contact, "contacts", body=_dict(fields), key=idempotency_key)

    async def update(self, contact_id: str, *, if_match: str | None = None, **fields: Unpack[ContactFields]) -> Contact:
        return await self._patch(Contact, "contacts", contact_id, body=_dict(fields), if_match=if_match)

    async def code(self, contact_id: str, *, idempotency_key: str | None = None) -> LinkCode:
        """A one-time code by which this person is known again on another channel."""
        return await self._post(LinkCode, "contacts", contact_id, "codes", key=idempotency_key)


class Agents(Readable[Agent]):
    _model, _name = Agent, "agents"

    async def create(
        self, *, name: str, email: str | None = None, type: str | None = None, idempotency_key: str | None = None
    ) -> Agent:
        body = {"name": name, **_given(email=email, type=type)}
        return await self._post(Agent, "agents", body=body, key=idempotency_key)

    async def update(self, agent_id: str, *, if_match: str | None = None, **changes: Unpack[AgentChanges]) -> Agent:
        return await self._patch(Agent, "agents", agent_id, body=_dict(changes), if_match=if_match)

    async def token(self, agent_id: str, *, ttl_s: int | None = None, idempotency_key: str | None = None) -> AgentToken:
        """Issue a token that speaks for this agent until it expires; it is shown only here."""
        path = ("agents", agent_id, "tokens")
        return await self._post(AgentToken, *path, body=_given(ttl_s=ttl_s), key=idempotency_key)


class Keys(Listed[Key]):
    _model, _name = Key, "keys"

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> NewKey:
        """Make a key; its secret is in this answer and never shown again."""
        expiry = expires_at.isoformat() if expires_at else None
        body = {"name": name, "scopes": [*scopes], **_given(expires_at=expiry)}
        return await self._post(NewKey, "keys", body=body, key=idempotency_key)

    async def delete(self, key_id: str) -> None:
        await self._delete("keys", key_id)


class InboundJournal(Group):
    async def list(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Page[Inbound]:
        return await self._page(Inbound, "inbound", state=state, limit=limit, after=after, before=before)

    def iterate(self, *, state: str | None = None, limit: int | None = None) -> AsyncIterator[Inbound]:
        return _forward(lambda after: self.list(state=state, limit=limit, after=after))

    async def get(self, inbound_id: str) -> Inbound:
        return await self._get(Inbound, "inbound", inbound_id)

    async def replay(self, inbound_id: str, *, idempotency_key: str | None = None) -> Inbound:
        """Read the raw payload again, for example with a newer parser."""
        return await self._post(Inbound, "inbound", inbound_id, "replay", key=idempotency_key)


FetchPage = Callable[[str | None], Awaitable[Page[T]]]


async def _forward(fetch: FetchPage[T], start: str | None = None) -> AsyncIterator[T]:
    cursor = start
    while True:
        page = await fetch(cursor)
        for item in page.items:
            yield item
        if page.next is None or page.next == cursor:
            return
        cursor = page.next


async def _backward(fetch: FetchPage[T]) -> AsyncIterator[T]:
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        for item in reversed(page.items):
            yield item
        if page.prev is None or page.prev == cursor:
            return
        cursor = page.prev


def _path(parts: Sequence[str]) -> str:
    return "/".join(("/v1", *(quote(part, safe="") for part in parts)))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plain(content: Content | Mapping[str, JsonValue]) -> dict[str, Any]:
    if isinstance(content, BaseModel):
        return content.model_dump(mode="json", exclude_none=True)
    return dict(content)


def _dict(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields given, None among them: unlike an absent field it empties something."""
    return dict(fields)
