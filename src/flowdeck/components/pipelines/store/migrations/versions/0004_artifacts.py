"""Artifacts, and the tasks that make and take them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "pipeline_artifacts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("number_value", sa.Float(53)),
        sa.Column("is_ours", sa.Boolean, nullable=False),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_update", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_artifacts"),
    )
    for sorted_by in ("created_at", "last_update", "name", "type", "uri"):
        _index("pipeline_artifacts", "namespace", sorted_by, "id")
    _index("pipeline_artifacts", "run_id", "name")
    _index("pipeline_artifacts", "created_at")
    op.create_table(
        "pipeline_artifact_tasks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("artifact_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("iteration", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_artifact_tasks"),
    )
    _index("pipeline_artifact_tasks", "run_id", "task_id")
    _index("pipeline_artifact_tasks", "artifact_id")
    _index("pipeline_artifact_tasks", "namespace", "id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
