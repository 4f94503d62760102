"""Keys that a person got by signing in from a command line know whose they are: they end with the account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# Not in a batch: on SQLite that may make the table anew, which the grants that point at its rows forbid.
def upgrade() -> None:
    op.add_column("api_keys", sa.Column("user_id", sa.String(40), nullable=True))
    # A node of the release before goes on making keys without it.
    op.add_column("api_keys", sa.Column("user_disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])


def downgrade() -> None:
    op.drop_index("ix_api_keys_user_id", "api_keys")
    op.drop_column("api_keys", "user_disabled")
    op.drop_column("api_keys", "user_id")
