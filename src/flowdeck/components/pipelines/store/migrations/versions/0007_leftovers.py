"""When the runs were removed whose folders are to be emptied."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("pipeline_leftovers") as leftovers:
        leftovers.add_column(sa.Column("removed_at", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("pipeline_leftovers") as leftovers:
        leftovers.alter_column("removed_at", server_default=None)
