"""Tasks of runs are counted where they are."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("pipeline_runs") as runs:
        runs.drop_column("task_count")
