"""Events by when they were received, and a count of deletions: what is counted beside the models follows them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add an index and a column."""
    op.create_index("cuvee_events_by_receipt", "cuvee_events", ["product", "received"])
    op.add_column("cuvee_heads", sa.Column("cleared", sa.BigInteger, nullable=False, server_default="0"))
