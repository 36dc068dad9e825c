"""What a customer may see of their own conversations: answers the connectors that can show it (the site chat)."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import MESSAGES, message_view
from gateway.core import Core
from gateway.database import driver
from gateway.views import MessageView
from shared.content import Opaque
from shared.ids import CHANNEL, MESSAGE, read_id, show_id
from shared.signing import BadToken, b64, seal, unb64, unseal
from shared.subjects import ThreadAuthor, ThreadMessage, ThreadPage, ThreadQuestion, ThreadSeen

EVENTS_MAX: Final = 200
SHOP_OF: Final = sa.text("SELECT shop_id FROM channels WHERE id = :id")
WHO: Final = sa.text(
    """
    SELECT f.shop_id, f.position AS newest, f.oldest, i.contact_id
    FROM feeds f JOIN channels h ON h.shop_id = f.shop_id AND h.id = :channel_id
    LEFT JOIN identities i
           ON i.shop_id = h.shop_id AND i.channel_type = h.type AND i.account = :account AND i.peer = :peer
    """
)
NEWS: Final = """
    SELECT position, message_id FROM events WHERE shop_id = $1 AND contact_id = $2 AND position > $3
    ORDER BY position LIMIT $4
"""
OURS: Final = MESSAGES + "WHERE m.shop_id = :shop_id AND c.contact_id = :contact_id AND m.visibility = 'public' "
# An older conversation that was opened again has newer messages than a newer one: the time decides, not the id. Each
# gives its last ones by the index of its sequence, so that a thread of a hundred thousand costs what one of fifty does.
LAST_ONES: Final = """
    JOIN (
        SELECT last.id FROM conversations k
        CROSS JOIN LATERAL (
            SELECT n.id, n.created_at, n.seq FROM messages n
            WHERE (n.shop_id, n.conversation_id) = (k.shop_id, k.id) AND n.visibility = 'public'
            ORDER BY n.seq DESC LIMIT :limit
        ) last
        WHERE k.shop_id = :shop_id AND k.contact_id = :contact_id
        ORDER BY last.created_at DESC, k.id DESC, last.seq DESC LIMIT :limit
    ) newest ON newest.id = m.id
    WHERE m.shop_id = :shop_id
    ORDER BY m.created_at DESC, m.conversation_id DESC, m.seq DESC
"""
NEWEST: Final = sa.text(MESSAGES + LAST_ONES)
THESE: Final = sa.text(OURS + "AND m.id = ANY(:ids) ORDER BY m.conversation_id, m.seq")
SEEN: Final = sa.text(
    """
    SELECT last.id, c.agent_read_at FROM conversations c
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE (m.shop_id, m.conversation_id) = (c.shop_id, c.id) AND m.seq <= c.agent_read_seq AND m.direction = 'in'
        ORDER BY m.seq DESC LIMIT 1
    ) last
    WHERE c.shop_id = :shop_id AND c.contact_id = :contact_id AND c.agent_read_at IS NOT NULL
    ORDER BY c.agent_read_at DESC, c.id DESC LIMIT 1
    """
)


class Threads:
    """Answers `THREAD` questions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._key = core.key("thread cursors")
        self._shops: dict[uuid.UUID, uuid.UUID] = {}

    async def answer(self, question: ThreadQuestion) -> ThreadPage:
        """The messages that are new or changed since the cursor; all of the newest if there is none that counts."""
        channel_id = read_id(CHANNEL, question.channel_id)
        async with self._core.db.shop(await self._shop_of(channel_id)) as connection:
            # The feed's end is read before the messages: what comes later is told again, not lost.
            named = {"channel_id": channel_id, "account": question.channel_id, "peer": question.peer}
            who = (await connection.execute(WHO, named)).one()
            return await self._page(connection, who, question)

    async def _shop_of(self, channel_id: uuid.UUID) -> uuid.UUID:
        """A channel stays in its shop: asked once."""
        if channel_id not in self._shops:
            async with self._core.db.system() as connection:
                self._shops[channel_id] = (await connection.execute(SHOP_OF, {"id": channel_id})).scalar_one()
        return self._shops[channel_id]

    async def _page(self, connection: AsyncConnection, who: Any, question: ThreadQuestion) -> ThreadPage:
        after = self._position(question)
        if after is None or not who.oldest - 1 <= after <= who.newest:
            messages = await self._newest(connection, who, question.limit)
            return await self._build(connection, who, question, messages, who.newest, more=False, reset=True)
        raw = await driver(connection)
        news = await raw.fetch(NEWS, who.shop_id, who.contact_id, after, EVENTS_MAX)
        more = len(news) == EVENTS_MAX
        position = news[-1]["position"] if more else max([who.newest, *(row["position"] for row in news)])
        messages = await self._these(connection, who, [row["message_id"] for row in news if row["message_id"]])
        return await self._build(connection, who, question, messages, position, more=more, reset=False)

    async def _newest(self, connection: AsyncConnection, who: Any, limit: int) -> Sequence[Any]:
        named = {"shop_id": who.shop_id, "contact_id": who.contact_id, "limit": limit}
        return list(reversed((await connection.execute(NEWEST, named)).all()))

    async def _these(self, connection: AsyncConnection, who: Any, ids: Sequence[uuid.UUID]) -> Sequence[Any]:
        if not ids:
            return []
        named = {"shop_id": who.shop_id, "contact_id": who.contact_id, "ids": list(set(ids))}
        return (await connection.execute(THESE, named)).all()

    async def _build(
        self,
        connection: AsyncConnection,
        who: Any,
        question: ThreadQuestion,
        rows: Sequence[Any],
        position: int,
        *,
        more: bool,
        reset: bool,
    ) -> ThreadPage:
        found = await connection.execute(SEEN, {"shop_id": who.shop_id, "contact_id": who.contact_id})
        seen = found.one_or_none()
        return ThreadPage(
            messages=tuple(
                thread_message(row, self._core.links.message(who.shop_id, message_view(row))) for row in rows
            ),
            seen=ThreadSeen(up_to=show_id(MESSAGE, seen.id), at=seen.agent_read_at) if seen else ThreadSeen(),
            cursor=self._cursor(question, position),
            more=more,
            reset=reset,
        )

    def _cursor(self, question: ThreadQuestion, position: int) -> str:
        """Sealed: a shop's positions would tell a stranger how busy it is."""
        return b64(seal(self._key, position.to_bytes(8, "big"), bound_to=bound(question)))

    def _position(self, question: ThreadQuestion) -> int | None:
        """None for no cursor, and for one that is not this visitor's: start over then."""
        if question.after is None:
            return None
        try:
            return int.from_bytes(unseal(self._key, unb64(question.after), bound_to=bound(question)), "big")
        except BadToken:
            return None


def bound(question: ThreadQuestion) -> bytes:
    return f"{question.channel_id}|{question.peer}".encode()


def thread_message(row: Any, view: MessageView) -> ThreadMessage:
    mine = view.direction == "in"
    return ThreadMessage(
        id=view.id,
        conversation=view.conversation,
        seq=view.seq,
        mine=mine,
        cmid=row.external_id if mine else None,
        author=ThreadAuthor(type=view.author.type, name=view.author.name),
        content=Opaque(what="deleted") if view.deleted_at else view.content,
        status=view.status,
        reply_to=view.reply_to,
        created_at=view.created_at,
        edited_at=view.edited_at,
        deleted=view.deleted_at is not None,
    )
