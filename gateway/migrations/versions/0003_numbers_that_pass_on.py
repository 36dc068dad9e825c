"""Which ids of people may pass on to somebody else, and since when one no longer is theirs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("identities", sa.Column("lent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("identities", sa.Column("left_at", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("identities", "left_at")
    op.drop_column("identities", "lent")
