"""An index of the sessions of users' events, for forgetting a user; and a table of the progress of imports."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add an index and a table."""
    part = sa.text("session_id <> owner")
    op.create_index(
        "cuvee_events_by_session", "cuvee_events", ["product", "session_id"], sqlite_where=part, postgresql_where=part
    )
    by_code_point = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "cuvee_imports",
        sa.Column("product", by_code_point, primary_key=True),
        sa.Column("digest", by_code_point, primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
    )
