"""An index of events by time of receipt, and a count of deletions: servers follow both to update their models."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add an index and a column."""
    op.create_index("cuvee_events_by_receipt", "cuvee_events", ["product", "received"])
    op.add_column("cuvee_heads", sa.Column("cleared", sa.BigInteger, nullable=False, server_default="0"))
