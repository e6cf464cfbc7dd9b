"""Tasks whose outputs others may take; the name of a run's pipeline."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("pipeline_runs") as runs:
        runs.add_column(sa.Column("pipeline_name", sa.Text, nullable=False, server_default=""))
    with op.batch_alter_table("pipeline_runs") as runs:
        runs.alter_column("pipeline_name", server_default=None)
    op.create_table(
        "pipeline_cache",
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("scope_path", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("parts", sa.LargeBinary, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_pipeline_cache"),
    )
    _index("pipeline_cache", "namespace", "fingerprint", "ended_at")
    _index("pipeline_cache", "namespace", "pipeline", "scope_path", "ended_at")
    _index("pipeline_cache", "namespace", "ended_at", "task_id")
    _index("pipeline_cache", "run_id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
