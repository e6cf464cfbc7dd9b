"""Experiments, runs, their events and tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "pipeline_documents",
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("wire", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_pipeline_documents"),
    )
    op.create_table(
        "pipeline_events",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_pipeline_events"),
    )
    op.create_table(
        "pipeline_experiments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_run_created_at", sa.BigInteger, nullable=False),
        sa.Column("storage_state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_experiments"),
        sa.UniqueConstraint("namespace", "name", name="uq_pipeline_experiments_namespace_name"),
    )
    op.create_index(
        "ix_pipeline_experiments_namespace_created_at_id", "pipeline_experiments", ["namespace", "created_at", "id"]
    )
    op.create_index(
        "ix_pipeline_experiments_namespace_last_run_created_at_id",
        "pipeline_experiments",
        ["namespace", "last_run_created_at", "id"],
    )
    op.create_table(
        "pipeline_runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("storage_state", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("history", sa.LargeBinary, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("scheduled_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=False),
        sa.Column("service_account", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text, nullable=False),
        sa.Column("pipeline_version_id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("parameters", sa.LargeBinary, nullable=False),
        sa.Column("pipeline_root", sa.Text, nullable=False),
        sa.Column("recurring_run_id", sa.Text, nullable=False),
        sa.Column("plugins_input", sa.LargeBinary, nullable=False),
        sa.Column("engine", sa.LargeBinary, nullable=False),
        sa.Column("task_count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_runs"),
    )
    op.create_index(
        "ix_pipeline_runs_experiment_id_created_at_id", "pipeline_runs", ["experiment_id", "created_at", "id"]
    )
    _index("pipeline_runs", "is_active", "created_at")
    _index("pipeline_runs", "namespace", "created_at", "id")
    _index("pipeline_runs", "namespace", "finished_at", "id")
    _index("pipeline_runs", "namespace", "name", "id")
    op.create_index(
        "ix_pipeline_runs_recurring_run_id_created_at_id", "pipeline_runs", ["recurring_run_id", "created_at", "id"]
    )
    op.create_table(
        "pipeline_tasks",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "id", name="pk_pipeline_tasks"),
    )
    _index("pipeline_tasks", "fingerprint", "ended_at")
    _index("pipeline_tasks", "run_id", "began_at", "id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
