"""What was shown."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _id(name: str, **options: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), **options)  # type: ignore[arg-type]


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "cuvee_exposures",
        _id("product", primary_key=True),
        _id("recommendation_id", primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        _id("item_id", nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
    )
    op.create_index("cuvee_exposures_by_time", "cuvee_exposures", ["product", "time"])
