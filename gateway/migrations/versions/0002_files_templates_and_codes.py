"""Attachments, templates, one-time codes, and the account of a channel."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SHOP_ROLE = "shopbell_shop"
OWN_SHOP = "nullif(current_setting('shopbell.shop_id', true), '')::uuid"
TABLES = ("attachments", "templates", "link_codes")


def upgrade() -> None:
    op.add_column("channels", sa.Column("account", sa.Text(), nullable=True))
    op.add_column("channels", sa.Column("templates_synced_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "uq_channels_account",
        "channels",
        ["shop_id", "type", "account"],
        unique=True,
        postgresql_where=sa.text("account IS NOT NULL AND deleted_at IS NULL"),
    )
    op.create_table(
        "templates",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("channel_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("places", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("usable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_templates_shop_id")),
        sa.ForeignKeyConstraint(
            ["shop_id", "channel_id"],
            ["channels.shop_id", "channels.id"],
            name=op.f("fk_templates_shop_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("shop_id", "channel_id", "name", "language", name=op.f("pk_templates")),
    )
    op.create_table(
        "attachments",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('expected', 'kept', 'lost')", name=op.f("ck_attachments_state")),
        sa.PrimaryKeyConstraint("shop_id", "id", name=op.f("pk_attachments")),
    )
    op.create_index("ix_attachments_message", "attachments", ["shop_id", "message_id"], unique=False)
    op.create_index(
        "ix_attachments_unused",
        "attachments",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("message_id IS NULL"),
    )
    op.create_table(
        "link_codes",
        sa.Column("shop_id", sa.UUID(), nullable=False),
        sa.Column("code_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_link_codes_shop_id")),
        sa.ForeignKeyConstraint(
            ["shop_id", "contact_id"],
            ["contacts.shop_id", "contacts.id"],
            name=op.f("fk_link_codes_shop_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("shop_id", "code_hash", name=op.f("pk_link_codes")),
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {SHOP_ROLE}")
        op.execute(
            f"CREATE POLICY own_shop ON {table} TO {SHOP_ROLE} USING (shop_id = {OWN_SHOP}) "
            f"WITH CHECK (shop_id = {OWN_SHOP})"
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.drop_index("uq_channels_account", table_name="channels")
    op.drop_column("channels", "templates_synced_at")
    op.drop_column("channels", "account")
