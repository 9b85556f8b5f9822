"""Answers that were shown to participants of experiments."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    by_code_point = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "cuvee_experiment_answers",
        sa.Column("product", by_code_point, primary_key=True),
        sa.Column("recommendation_id", by_code_point, primary_key=True),
        sa.Column("unit", by_code_point, nullable=False),
        sa.Column("variants", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    op.create_index("cuvee_experiment_answers_by_time", "cuvee_experiment_answers", ["product", "time"])
    op.create_index("cuvee_experiment_answers_of_unit", "cuvee_experiment_answers", ["product", "unit"])
