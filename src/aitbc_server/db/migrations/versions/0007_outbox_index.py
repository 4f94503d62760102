"""The fence outbox finds what is pending, and what is old, by an index: a change may concern every tenant."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_fence_outbox_drained_at", "fence_outbox", ["drained_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_fence_outbox_drained_at", "fence_outbox")
