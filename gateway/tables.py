"""The tables, as the code sees them; a test proves that the migrations build exactly these.

Every row belongs to a shop and every key starts with it. Row-level security (see `database.py`) stands behind that.
Times are the database's own unless the name says whose they are: `occurred_at` is what a provider claims.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP, UUID

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NOW = sa.text("now()")


def shop_id() -> sa.Column[object]:
    return sa.Column("shop_id", UUID, sa.ForeignKey("shops.id"), primary_key=True)


def shop_id_unchecked() -> sa.Column[object]:
    """For tables with a row per message: a reference would lock the shop's one row for each of them."""
    return sa.Column("shop_id", UUID, primary_key=True)


def uuid_key() -> sa.Column[object]:
    return sa.Column("id", UUID, primary_key=True)


def moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, TIMESTAMP(timezone=True), nullable=nullable)


def created_at() -> sa.Column[object]:
    return sa.Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW)


def version() -> sa.Column[object]:
    return sa.Column("version", sa.Integer, nullable=False, server_default="1")


def belongs_to(table: str, column: str, *, deferred: bool = False, cascade: bool = False) -> sa.ForeignKeyConstraint:
    """A reference that cannot leave the shop. `cascade`: what belongs to a row goes with it."""
    return sa.ForeignKeyConstraint(
        ["shop_id", column],
        [f"{table}.shop_id", f"{table}.id"],
        deferrable=deferred or None,
        initially="DEFERRED" if deferred else None,
        ondelete="CASCADE" if cascade else None,
    )


shops = sa.Table(
    "shops", metadata, sa.Column("id", UUID, primary_key=True), sa.Column("name", sa.Text, nullable=False), created_at()
)

keys = sa.Table(
    "keys",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("secret_hash", BYTEA, nullable=False, unique=True),
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    created_at(),
    moment("expires_at"),
    moment("revoked_at"),
    moment("last_used_at"),
)

agents = sa.Table(
    "agents",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("type", sa.Text, nullable=False),
    created_at(),
    version(),
    moment("seen_at"),  # when a client of theirs last listened to the feed
    sa.CheckConstraint("type IN ('human', 'bot')", name="type"),
)

agent_tokens = sa.Table(
    "agent_tokens",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("agent_id", UUID, nullable=False),
    sa.Column("secret_hash", BYTEA, nullable=False, unique=True),
    created_at(),
    moment("expires_at", nullable=False),
    belongs_to("agents", "agent_id"),
)

channels = sa.Table(
    "channels",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("state_reason", JSONB),
    sa.Column("settings", JSONB, nullable=False),
    sa.Column("secrets", BYTEA, nullable=False),
    created_at(),
    moment("deleted_at"),
    version(),
    sa.Column("account", sa.Text),  # our end, as the provider names it in what it tells
    moment("templates_synced_at"),
    sa.CheckConstraint("state IN ('active', 'paused')", name="state"),
    sa.Index("ix_channels_id", "id", unique=True),  # a provider calls with the channel's id alone
    sa.Index(
        "uq_channels_account",
        "shop_id",
        "type",
        "account",
        unique=True,
        postgresql_where=sa.text("account IS NOT NULL AND deleted_at IS NULL"),
    ),
)

templates = sa.Table(
    "templates",
    metadata,
    shop_id(),
    sa.Column("channel_id", UUID, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("language", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("places", ARRAY(sa.Text), nullable=False),
    sa.Column("usable", sa.Boolean, nullable=False),
    belongs_to("channels", "channel_id"),
)

contacts = sa.Table(
    "contacts",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("name", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("attributes", JSONB, nullable=False, server_default=sa.text("'{}'")),
    created_at(),
    sa.Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    version(),
)

identities = sa.Table(
    "identities",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("contact_id", UUID, nullable=False),
    sa.Column("channel_type", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("peer", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("username", sa.Text),
    sa.Column("proof", sa.Text, nullable=False, server_default="provider"),
    created_at(),
    moment("blocked_at"),
    sa.Column("lent", sa.Boolean, nullable=False, server_default=sa.text("false")),
    moment("left_at"),
    belongs_to("contacts", "contact_id", deferred=True),  # ingest learns from the identity whether the contact is new
    sa.UniqueConstraint("shop_id", "channel_type", "account", "peer"),
    sa.Index("ix_identities_contact", "shop_id", "contact_id"),
)

conversations = sa.Table(
    "conversations",
    metadata,
    shop_id(),
    uuid_key(),
    sa.Column("contact_id", UUID, nullable=False),
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("identity_id", UUID, nullable=False),
    sa.Column("thread", sa.Text, nullable=False, server_default=""),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("assignee_id", UUID),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("last_seq", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unread", sa.Integer, nullable=False, server_default="0"),
    sa.Column("agent_read_seq", sa.Integer, nullable=False, server_default="0"),
    moment("agent_read_at"),
    sa.Column("contact_read_seq", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_message_id", UUID),
    sa.Column("context", JSONB, nullable=False, server_default=sa.text("'{}'")),
    moment("last_inbound_at"),
    moment("waiting_since"),
    created_at(),
    sa.Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    moment("closed_at"),
    version(),
    sa.Column("subject", sa.Text),
    sa.Column("topic", sa.Text, nullable=False, server_default=""),  # the subject as it is compared
    belongs_to("contacts", "contact_id", deferred=True),
    belongs_to("channels", "channel_id"),
    belongs_to("identities", "identity_id"),
    belongs_to("agents", "assignee_id"),
    sa.CheckConstraint("status IN ('open', 'pending', 'snoozed', 'closed')", name="status"),
    # One matter at a time: this, not a lock, is why sixteen first messages make one conversation.
    sa.Index(
        "uq_conversations_open",
        "shop_id",
        "contact_id",
        "thread",
        unique=True,
        postgresql_where=sa.text("status <> 'closed'"),
    ),
    sa.Index("ix_conversations_matter", "shop_id", "contact_id", "thread", "id"),
    sa.Index("ix_conversations_updated", "shop_id", "updated_at", "id"),
    sa.Index(
        "ix_conversations_waiting",
        "shop_id",
        "waiting_since",
        postgresql_where=sa.text("waiting_since IS NOT NULL"),
    ),
)

# No reference from a message to its conversation: checking it took longer than writing the message (54 of 100 us), and
# both are written by the same statements.
messages = sa.Table(
    "messages",
    metadata,
    shop_id_unchecked(),
    uuid_key(),
    sa.Column("conversation_id", UUID, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("visibility", sa.Text, nullable=False, server_default="public"),
    sa.Column("author_type", sa.Text, nullable=False),
    sa.Column("author_id", UUID),
    sa.Column("author_name", sa.Text),
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("identity_id", UUID, nullable=False),
    sa.Column("external_id", sa.Text),
    sa.Column("content", JSONB, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False, server_default="none"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
    sa.Column("client_ref", sa.Text),
    sa.Column("reply_to", UUID),
    created_at(),
    moment("occurred_at", nullable=False),
    moment("edited_at"),
    moment("deleted_at"),
    sa.Column("history", JSONB),
    sa.Column("failure", JSONB),
    sa.Column("degraded", ARRAY(sa.Text)),  # what was lost on the way to the channel, in words
    sa.Column("mail", JSONB),  # what a mail tells beside its words
    sa.UniqueConstraint("shop_id", "conversation_id", "seq"),
    sa.CheckConstraint("direction IN ('in', 'out')", name="direction"),
    sa.Index(
        "uq_messages_external",
        "shop_id",
        "channel_id",
        "identity_id",
        "external_id",
        sa.text("coalesce(mail ->> 'fingerprint', '')"),  # two mails may bear one Message-ID
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    ),
    sa.Index("ix_messages_mail", "shop_id", "channel_id", "external_id", postgresql_where=sa.text("mail IS NOT NULL")),
    sa.Index(
        "uq_messages_client_ref",
        "shop_id",
        "conversation_id",
        "client_ref",
        unique=True,
        postgresql_where=sa.text("client_ref IS NOT NULL"),
    ),
)

message_parts = sa.Table(
    "message_parts",
    metadata,
    shop_id_unchecked(),
    sa.Column("message_id", UUID, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("external_id", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, server_default="1"),  # the retry that it belongs to
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),  # that gave it this id; 0: we were only told
    sa.Column("former_ids", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),  # of other attempts
    sa.Column("status", sa.Text),
    sa.Index("ix_message_parts_external", "shop_id", "channel_id", "external_id"),
    sa.Index(
        "ix_message_parts_former",
        "former_ids",
        postgresql_using="gin",
        postgresql_where=sa.text("former_ids <> '{}'::text[]"),
    ),
)

receipts = sa.Table(
    "receipts",
    metadata,
    shop_id_unchecked(),
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("message_id", UUID),  # none while the message is not known yet: parked
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("external_id", sa.Text),
    sa.Column("part", sa.Integer),
    sa.Column("generation", sa.Integer),
    sa.Column("attempt", sa.Integer),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("reason", JSONB),
    moment("occurred_at"),
    sa.Column("recorded_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    sa.Column("account", sa.Text),  # this and the next two: of a parked one, to find its message by
    sa.Column("peer", sa.Text),
    sa.Column("covers_earlier", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Index("ix_receipts_message", "shop_id", "message_id"),
    sa.Index(
        "ix_receipts_parked", "shop_id", "channel_id", "external_id", postgresql_where=sa.text("message_id IS NULL")
    ),
    sa.Index("ix_receipts_parked_at", "recorded_at", postgresql_where=sa.text("message_id IS NULL")),
)

attachments = sa.Table(
    "attachments",
    metadata,
    shop_id_unchecked(),
    uuid_key(),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("mime", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("sha256", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("message_id", UUID),
    created_at(),
    sa.CheckConstraint("state IN ('expected', 'kept', 'lost')", name="state"),
    sa.Index("ix_attachments_message", "shop_id", "message_id"),
    sa.Index("ix_attachments_unused", "created_at", postgresql_where=sa.text("message_id IS NULL")),
)

# Whom the partner of a conversation wrote to as well: they may write in it too.
conversation_guests = sa.Table(
    "conversation_guests",
    metadata,
    shop_id_unchecked(),
    sa.Column("conversation_id", UUID, primary_key=True),
    sa.Column("peer", sa.Text, primary_key=True),
    belongs_to("conversations", "conversation_id", cascade=True),
)

# Who listens to a channel that has to be listened to, and how far they have come: one process at a time.
listeners = sa.Table(
    "listeners",
    metadata,
    shop_id_unchecked(),
    sa.Column("channel_id", UUID, primary_key=True),
    sa.Column("holder", sa.Text),
    sa.Column("token", sa.BigInteger, nullable=False, server_default="0"),  # grows with each new holder
    moment("held_until"),
    sa.Column("place", JSONB, nullable=False, server_default=sa.text("'{}'")),
    belongs_to("channels", "channel_id"),
)

# One-time codes by which a person who comes on another channel is known to be the same.
link_codes = sa.Table(
    "link_codes",
    metadata,
    shop_id(),
    sa.Column("code_hash", BYTEA, primary_key=True),
    sa.Column("contact_id", UUID, nullable=False),
    moment("expires_at", nullable=False),
    created_at(),
    belongs_to("contacts", "contact_id"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    shop_id_unchecked(),
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("lane", sa.Text, nullable=False),  # one in flight per lane, in the order of ids
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("channel_type", sa.Text, nullable=False),
    sa.Column("message_id", UUID),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("pace", sa.Text, nullable=False, server_default="chat"),
    sa.Column("state", sa.Text, nullable=False, server_default="ready"),
    sa.Column("priority", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts_before", sa.Integer, nullable=False, server_default="0"),  # made by earlier commands
    sa.Column("last_reason", JSONB),  # why the last attempt did not work
    sa.Column("mark", JSONB),  # a watermark that came while the attempt was on its way
    sa.Column("available_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    moment("lease_until"),
    moment("deadline_at", nullable=False),
    created_at(),
    sa.CheckConstraint("state IN ('ready', 'sending')", name="state"),
    sa.Index("ix_outbox_due", "priority", "id", postgresql_where=sa.text("state = 'ready'")),
    sa.Index("ix_outbox_lane", "lane", "id"),
    sa.Index("ix_outbox_message", "shop_id", "message_id"),
)

journal = sa.Table(
    "journal",
    metadata,
    shop_id_unchecked(),
    uuid_key(),
    sa.Column("channel_id", UUID, nullable=False),
    sa.Column("dedupe", BYTEA, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", JSONB),
    sa.Column("event", sa.Text),
    sa.Column("raw", BYTEA, nullable=False),
    sa.Column("received_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    moment("processed_at"),
    sa.CheckConstraint("state IN ('processed', 'quarantined')", name="state"),
    sa.UniqueConstraint("shop_id", "channel_id", "dedupe"),
    sa.Index("ix_journal_quarantined", "shop_id", "id", postgresql_where=sa.text("state = 'quarantined'")),
)

feeds = sa.Table(
    "feeds",
    metadata,
    sa.Column("shop_id", UUID, sa.ForeignKey("shops.id"), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("oldest", sa.BigInteger, nullable=False, server_default="1"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("shop_id", UUID, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("id", UUID, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("conversation_id", UUID),
    sa.Column("contact_id", UUID),
    sa.Column("message_id", UUID),
    sa.Column("at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index(
        "ix_events_contact", "shop_id", "contact_id", "position", postgresql_where=sa.text("contact_id IS NOT NULL")
    ),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    shop_id_unchecked(),
    sa.Column("principal", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("fingerprint", BYTEA, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", JSONB),
    sa.Column("body", BYTEA),
    created_at(),
)

SHOP_TABLES = tuple(table.name for table in metadata.sorted_tables if "shop_id" in table.columns)
