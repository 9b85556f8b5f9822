"""Events, users, items, and forgotten users."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _id(name: str, **options: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), **options)  # type: ignore[arg-type]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "cuvee_events",
        _id("product", primary_key=True),
        _id("event_id", primary_key=True),
        _id("owner", nullable=False),
        _id("session_id"),
        _id("item_id", nullable=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        _id("recommendation_id"),
        sa.Column("position", sa.Integer),
    )
    op.create_index("cuvee_events_of_owner", "cuvee_events", ["product", "owner", "time", "received"])
    op.create_index("cuvee_events_by_time", "cuvee_events", ["product", "time"])
    op.create_table(
        "cuvee_users",
        _id("product", primary_key=True),
        _id("user_id", primary_key=True),
        sa.Column("profile", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger),
        sa.Column("event_count", sa.BigInteger, nullable=False),
        sa.Column("stamp", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cuvee_items",
        _id("product", primary_key=True),
        _id("item_id", primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("deleted", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("created", sa.BigInteger),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("born", sa.BigInteger, nullable=False),
    )
    op.create_index("cuvee_items_since", "cuvee_items", ["product", "revision"])
    op.create_table(
        "cuvee_heads",
        _id("product", primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("born", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cuvee_forgotten",
        _id("product", primary_key=True),
        _id("digest", primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    op.create_table("cuvee_secrets", _id("name", primary_key=True), sa.Column("value", sa.Text, nullable=False))
