"""The history of a run, and its labels; runs are listed by age."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("labels", sa.LargeBinary, nullable=False, server_default=sa.text("'{}'")))
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("labels", server_default=None)
    op.create_index("ix_runs_created_at_id", "runs", ["created_at", "id"])
    op.create_table(
        "events",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("what", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run", "number", name="pk_events"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_events_run"),
    )
