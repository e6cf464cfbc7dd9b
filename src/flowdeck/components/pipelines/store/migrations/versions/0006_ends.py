"""What follows from the end of a run, and what goes by age."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "pipeline_ends",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("told", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_pipeline_ends"),
    )
    op.create_index("ix_pipeline_ends_run_id_number", "pipeline_ends", ["run_id", "number"])
    op.create_table(
        "pipeline_leftovers",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_pipeline_leftovers"),
    )
    op.create_table(
        "pipeline_sweeps",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pipeline_sweeps"),
    )
    op.create_index("ix_pipeline_runs_finished_at_id", "pipeline_runs", ["finished_at", "id"])
