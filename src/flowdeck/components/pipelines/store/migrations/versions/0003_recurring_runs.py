"""Recurring runs and their backfills."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "pipeline_recurring_runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("resource_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text, nullable=False),
        sa.Column("pipeline_version_id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("parameters", sa.LargeBinary, nullable=False),
        sa.Column("pipeline_root", sa.Text, nullable=False),
        sa.Column("service_account", sa.Text, nullable=False),
        sa.Column("plugins_input", sa.LargeBinary, nullable=False),
        sa.Column("trigger", sa.LargeBinary, nullable=False),
        sa.Column("max_concurrency", sa.Integer, nullable=False),
        sa.Column("no_catchup", sa.Boolean, nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("made", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_recurring_runs"),
    )
    _index("pipeline_recurring_runs", "namespace", "created_at", "id")
    _index("pipeline_recurring_runs", "namespace", "updated_at", "id")
    _index("pipeline_recurring_runs", "namespace", "name", "id")
    _index("pipeline_recurring_runs", "experiment_id", "created_at", "id")
    _index("pipeline_recurring_runs", "document")
    op.create_table(
        "pipeline_backfills",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("recurring_run_id", sa.Text, nullable=False),
        sa.Column("begin", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_pipeline_backfills"),
    )
    _index("pipeline_backfills", "recurring_run_id", "number")
    _index("pipeline_runs", "recurring_run_id", "is_active")
    _index("pipeline_runs", "document")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
