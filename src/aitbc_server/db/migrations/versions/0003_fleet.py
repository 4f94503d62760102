"""The fence outbox becomes a feed that every node of a fleet reads: a row stays for a while after it is drained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("fence_outbox") as batch_op:
        batch_op.add_column(sa.Column("drained_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    # The release before takes every row for one that is not drained: a drop more than is needed harms nobody.
    with op.batch_alter_table("fence_outbox") as batch_op:
        batch_op.drop_column("drained_at")
