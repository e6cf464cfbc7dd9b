"""What users want of runs, until whoever works on the run has taken it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "pipeline_wishes",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_pipeline_wishes"),
    )
    op.create_index("ix_pipeline_wishes_run_id_number", "pipeline_wishes", ["run_id", "number"])
