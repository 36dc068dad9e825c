"""The first schema, with row-level security by shop."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SHOP_ROLE = "shopbell_shop"
BY_SHOP_ID = [
    "keys",
    "agents",
    "agent_tokens",
    "channels",
    "contacts",
    "identities",
    "conversations",
    "messages",
    "message_parts",
    "receipts",
    "outbox",
    "journal",
    "feeds",
    "events",
    "idempotency",
]
OWN_SHOP = "nullif(current_setting('shopbell.shop_id', true), '')::uuid"


def secure() -> None:
    """One role that callers act in; it sees the rows of the shop that the transaction has entered, and no others."""
    op.execute(
        f"""
        DO $$ BEGIN
            CREATE ROLE {SHOP_ROLE} NOLOGIN NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server has made it
        END $$
        """
    )
    op.execute(f"GRANT {SHOP_ROLE} TO CURRENT_USER")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {SHOP_ROLE}")
    for table, column in [("shops", "id"), *((table, "shop_id") for table in BY_SHOP_ID)]:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {SHOP_ROLE}")
        op.execute(
            f"CREATE POLICY own_shop ON {table} TO {SHOP_ROLE} USING ({column} = {OWN_SHOP}) "
            f"WITH CHECK ({column} = {OWN_SHOP})"
        )


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.UUID(), nullable=True),
        sa.Column("contact_id", sa.UUID(), nullable=True),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("shop_id", "position", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_contact",
        "events",
        ["shop_id", "contact_id", "position"],
        unique=False,
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", postgresql.BYTEA(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", postgresql.BYTEA(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("shop_id", "principal", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "journal",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("dedupe", postgresql.BYTEA(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("raw", postgresql.BYTEA(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('processed', 'quarantined')", name=op.f("ck_journal_state")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_journal")),
        sa.UniqueConstraint("shop_id", "channel_id", "dedupe", name=op.f("uq_journal_shop_id_channel_id_dedupe")),
    )
    op.create_index(
        "ix_journal_quarantined",
        "journal",
        ["shop_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'quarantined'"),
    )
    op.create_table(
        "outbox",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("channel_type", sa.Text(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("pace", sa.Text(), server_default="chat", nullable=False),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts_before", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_reason", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("mark", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("available_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deadline_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('ready', 'sending')", name=op.f("ck_outbox_state")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_due", "outbox", ["priority", "id"], unique=False, postgresql_where=sa.text("state = 'ready'")
    )
    op.create_index("ix_outbox_lane", "outbox", ["lane", "id"], unique=False)
    op.create_index("ix_outbox_message", "outbox", ["shop_id", "message_id"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("part", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("reason", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("recorded_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("covers_earlier", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_receipts")),
    )
    op.create_index("ix_receipts_message", "receipts", ["shop_id", "message_id"], unique=False)
    op.create_index(
        "ix_receipts_parked",
        "receipts",
        ["shop_id", "channel_id", "external_id"],
        unique=False,
        postgresql_where=sa.text("message_id IS NULL"),
    )
    op.create_index(
        "ix_receipts_parked_at",
        "receipts",
        ["recorded_at"],
        unique=False,
        postgresql_where=sa.text("message_id IS NULL"),
    )
    op.create_table(
        "shops",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shops")),
    )
    op.create_table(
        "agents",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("type IN ('human', 'bot')", name=op.f("ck_agents_type")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_agents_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_agents")),
    )
    op.create_table(
        "channels",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secrets", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_channels_state")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_channels_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_channels")),
    )
    op.create_index("ix_channels_id", "channels", ["id"], unique=True)
    op.create_table(
        "contacts",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column(
            "attributes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_contacts_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_contacts")),
    )
    op.create_table(
        "feeds",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("oldest", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_feeds_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_feeds")),
    )
    op.create_table(
        "keys",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_used_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_keys_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_keys")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_keys_secret_hash")),
    )
    op.create_table(
        "agent_tokens",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("secret_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["shop_id", "agent_id"], ["agents.shop_id", "agents.id"], name=op.f("fk_agent_tokens_shop_id_agent_id")
        ),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_agent_tokens_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_agent_tokens")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_agent_tokens_secret_hash")),
    )
    op.create_table(
        "identities",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("channel_type", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("proof", sa.Text(), server_default="provider", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("blocked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["shop_id", "contact_id"],
            ["contacts.shop_id", "contacts.id"],
            name=op.f("fk_identities_shop_id_contact_id"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_identities_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_identities")),
        sa.UniqueConstraint(
            "shop_id", "channel_type", "account", "peer", name=op.f("uq_identities_shop_id_channel_type_account_peer")
        ),
    )
    op.create_index("ix_identities_contact", "identities", ["shop_id", "contact_id"], unique=False)
    op.create_table(
        "conversations",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("identity_id", sa.UUID(), nullable=False),
        sa.Column("thread", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("assignee_id", sa.UUID(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unread", sa.Integer(), server_default="0", nullable=False),
        sa.Column("agent_read_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("agent_read_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("contact_read_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_message_id", sa.UUID(), nullable=True),
        sa.Column("context", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("last_inbound_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("waiting_since", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('open', 'pending', 'snoozed', 'closed')", name=op.f("ck_conversations_status")),
        sa.ForeignKeyConstraint(
            ["shop_id", "assignee_id"],
            ["agents.shop_id", "agents.id"],
            name=op.f("fk_conversations_shop_id_assignee_id"),
        ),
        sa.ForeignKeyConstraint(
            ["shop_id", "channel_id"],
            ["channels.shop_id", "channels.id"],
            name=op.f("fk_conversations_shop_id_channel_id"),
        ),
        sa.ForeignKeyConstraint(
            ["shop_id", "contact_id"],
            ["contacts.shop_id", "contacts.id"],
            name=op.f("fk_conversations_shop_id_contact_id"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["shop_id", "identity_id"],
            ["identities.shop_id", "identities.id"],
            name=op.f("fk_conversations_shop_id_identity_id"),
        ),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_conversations_shop_id")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_conversations")),
    )
    op.create_index("ix_conversations_matter", "conversations", ["shop_id", "contact_id", "thread", "id"], unique=False)
    op.create_index("ix_conversations_updated", "conversations", ["shop_id", "updated_at", "id"], unique=False)
    op.create_index(
        "ix_conversations_waiting",
        "conversations",
        ["shop_id", "waiting_since"],
        unique=False,
        postgresql_where=sa.text("waiting_since IS NOT NULL"),
    )
    op.create_index(
        "uq_conversations_open",
        "conversations",
        ["shop_id", "contact_id", "thread"],
        unique=True,
        postgresql_where=sa.text("status <> 'closed'"),
    )
    op.create_table(
        "messages",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("conversation_id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), server_default="public", nullable=False),
        sa.Column("author_type", sa.Text(), nullable=False),
        sa.Column("author_id", sa.UUID(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("identity_id", sa.UUID(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), server_default="none", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("client_ref", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.UUID(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("edited_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deleted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("history", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("failure", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("degraded", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.CheckConstraint("direction IN ('in', 'out')", name=op.f("ck_messages_direction")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_messages")),
        sa.UniqueConstraint("shop_id", "conversation_id", "seq", name=op.f("uq_messages_shop_id_conversation_id_seq")),
    )
    op.create_index(
        "uq_messages_client_ref",
        "messages",
        ["shop_id", "conversation_id", "client_ref"],
        unique=True,
        postgresql_where=sa.text("client_ref IS NOT NULL"),
    )
    op.create_index(
        "uq_messages_external",
        "messages",
        ["shop_id", "channel_id", "identity_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "message_parts",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("former_ids", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("shop_id", "message_id", "part", name=op.f("pk_message_parts")),
    )
    op.create_index(
        "ix_message_parts_external", "message_parts", ["shop_id", "channel_id", "external_id"], unique=False
    )
    op.create_index(
        "ix_message_parts_former",
        "message_parts",
        ["former_ids"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("former_ids <> '{}'::text[]"),
    )
    secure()


def downgrade() -> None:
    op.drop_index("ix_message_parts_former", table_name="message_parts")
    op.drop_index("ix_message_parts_external", table_name="message_parts")
    op.drop_table("message_parts")
    op.drop_index("uq_messages_external", table_name="messages", postgresql_where=sa.text("external_id IS NOT NULL"))
    op.drop_index("uq_messages_client_ref", table_name="messages", postgresql_where=sa.text("client_ref IS NOT NULL"))
    op.drop_table("messages")
    op.drop_index("uq_conversations_open", table_name="conversations", postgresql_where=sa.text("status <> 'closed'"))
    op.drop_index(
        "ix_conversations_waiting", table_name="conversations", postgresql_where=sa.text("waiting_since IS NOT NULL")
    )
    op.drop_index("ix_conversations_updated", table_name="conversations")
    op.drop_index("ix_conversations_matter", table_name="conversations")
    op.drop_table("conversations")
    op.drop_index("ix_identities_contact", table_name="identities")
    op.drop_table("identities")
    op.drop_table("agent_tokens")
    op.drop_table("keys")
    op.drop_table("feeds")
    op.drop_table("contacts")
    op.drop_index("ix_channels_id", table_name="channels")
    op.drop_table("channels")
    op.drop_table("agents")
    op.drop_table("shops")
    op.drop_index("ix_receipts_parked_at", table_name="receipts", postgresql_where=sa.text("message_id IS NULL"))
    op.drop_index("ix_receipts_parked", table_name="receipts", postgresql_where=sa.text("message_id IS NULL"))
    op.drop_index("ix_receipts_message", table_name="receipts")
    op.drop_table("receipts")
    op.drop_index("ix_outbox_message", table_name="outbox")
    op.drop_index("ix_outbox_lane", table_name="outbox")
    op.drop_index("ix_outbox_due", table_name="outbox", postgresql_where=sa.text("state = 'ready'"))
    op.drop_table("outbox")
    op.drop_index("ix_journal_quarantined", table_name="journal", postgresql_where=sa.text("state = 'quarantined'"))
    op.drop_table("journal")
    op.drop_table("idempotency")
    op.drop_index("ix_events_contact", table_name="events", postgresql_where=sa.text("contact_id IS NOT NULL"))
    op.drop_table("events")
