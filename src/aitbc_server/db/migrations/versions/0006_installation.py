"""Every database says which installation it is, so that nobody takes the Valkey of another one for its own."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.create_table(
        "installation",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    # Here, and not by the first server that needs it: a backup of any day has it.
    op.bulk_insert(table, [{"id": secrets.token_hex(16)}])


def downgrade() -> None:
    op.drop_table("installation")
