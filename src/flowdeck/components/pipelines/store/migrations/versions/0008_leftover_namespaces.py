"""The namespaces of the runs whose folders are to be emptied."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("pipeline_leftovers") as leftovers:
        leftovers.add_column(sa.Column("namespace", sa.Text, nullable=False, server_default=""))
    with op.batch_alter_table("pipeline_leftovers") as leftovers:
        leftovers.alter_column("namespace", server_default=None)
