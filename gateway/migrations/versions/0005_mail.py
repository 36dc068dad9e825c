"""Mail: subjects, what a mail tells beside its words, who else was written to, and who listens to a channel."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SHOP_ROLE = "shopbell_shop"
OWN_SHOP = "nullif(current_setting('shopbell.shop_id', true), '')::uuid"
TABLES = ("conversation_guests", "listeners")
EXTERNAL = ["shop_id", "channel_id", "identity_id", "external_id"]


def upgrade() -> None:
    op.add_column("conversations", sa.Column("subject", sa.Text(), nullable=True))
    op.add_column("conversations", sa.Column("topic", sa.Text(), server_default="", nullable=False))
    op.add_column("messages", sa.Column("mail", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    # Two mails may bear one Message-ID: what tells them apart is part of the key.
    op.drop_index("uq_messages_external", table_name="messages")
    op.create_index(
        "uq_messages_external",
        "messages",
        [*EXTERNAL, sa.text("coalesce(mail ->> 'fingerprint', '')")],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_mail",
        "messages",
        ["shop_id", "channel_id", "external_id"],
        postgresql_where=sa.text("mail IS NOT NULL"),
    )
    op.create_table(
        "conversation_guests",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("conversation_id", sa.UUID(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["shop_id", "conversation_id"],
            ["conversations.shop_id", "conversations.id"],
            name=op.f("fk_conversation_guests_shop_id_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("shop_id", "conversation_id", "peer", name=op.f("pk_conversation_guests")),
    )
    op.create_table(
        "listeners",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("place", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["shop_id", "channel_id"],
            ["channels.shop_id", "channels.id"],
            name=op.f("fk_listeners_shop_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("shop_id", "channel_id", name=op.f("pk_listeners")),
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {SHOP_ROLE}")
        op.execute(
            f"CREATE POLICY own_shop ON {table} TO {SHOP_ROLE} USING (shop_id = {OWN_SHOP}) "
            f"WITH CHECK (shop_id = {OWN_SHOP})"
        )


def downgrade() -> None:
    op.drop_table("listeners")
    op.drop_table("conversation_guests")
    op.drop_index("ix_messages_mail", table_name="messages")
    op.drop_index("uq_messages_external", table_name="messages")
    op.create_index(
        "uq_messages_external", "messages", EXTERNAL, unique=True, postgresql_where=sa.text("external_id IS NOT NULL")
    )
    op.drop_column("messages", "mail")
    op.drop_column("conversations", "topic")
    op.drop_column("conversations", "subject")
