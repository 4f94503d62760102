"""Usage by the hour and by the day; minutes in a partition for each day on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = ("tenant_id", "environment", "minute", "kid", "outcome", "operation", "source")
_REFUSED = sa.text("outcome <> 'allowed'")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _partition_minutes()
    op.create_index(
        "ix_usage_minutes_refused",
        "usage_minutes",
        ["tenant_id", "environment", "minute", "kid"],
        sqlite_where=_REFUSED,
        postgresql_where=_REFUSED,
    )
    _create_sums("usage_hours", "hour")
    _create_sums("usage_days", "day")
    op.create_table(
        "usage_marks",
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("width", sa.String(length=4), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "width", "start", name="pk_usage_marks"),
    )
    op.create_index("ix_usage_marks_due", "usage_marks", ["width", "start"])
    # What is there is summed up by the first server that starts.
    op.execute(
        "INSERT INTO usage_marks (tenant_id, width, start)"
        " SELECT DISTINCT tenant_id, 'hour', minute - minute % 3600000 FROM usage_minutes"
    )


def downgrade() -> None:
    # Minutes that are deleted already are gone for the release before.
    op.drop_index("ix_usage_marks_due", "usage_marks")
    for table in ("usage_marks", "usage_days", "usage_hours"):
        op.drop_table(table)
    op.drop_index("ix_usage_minutes_refused", "usage_minutes")
    if op.get_bind().dialect.name == "postgresql":
        _join_minutes()


def _create_sums(table: str, start: str) -> None:
    op.create_table(
        table,
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column(start, sa.BigInteger(), nullable=False),
        sa.Column("kid", sa.String(length=12), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "environment", start, "kid", "outcome", "operation", "source", name=f"pk_{table}"
        ),
        sqlite_with_rowid=False,
    )


def _partition_minutes() -> None:
    """The table that is there becomes the partition of all days that have none of their own: no row is moved."""
    op.execute("ALTER TABLE usage_minutes RENAME TO usage_minutes_default")
    op.execute("ALTER TABLE usage_minutes_default RENAME CONSTRAINT pk_usage_minutes TO pk_usage_minutes_default")
    op.execute("CREATE TABLE usage_minutes (LIKE usage_minutes_default) PARTITION BY RANGE (minute)")
    op.create_primary_key("pk_usage_minutes", "usage_minutes", list(_KEY))
    op.execute("ALTER TABLE usage_minutes ATTACH PARTITION usage_minutes_default DEFAULT")


def _join_minutes() -> None:
    op.execute("ALTER TABLE usage_minutes RENAME TO usage_minutes_by_day")
    op.execute("ALTER TABLE usage_minutes_by_day RENAME CONSTRAINT pk_usage_minutes TO pk_usage_minutes_by_day")
    op.execute("CREATE TABLE usage_minutes (LIKE usage_minutes_by_day)")
    op.execute("INSERT INTO usage_minutes SELECT * FROM usage_minutes_by_day")
    op.drop_table("usage_minutes_by_day")
    op.create_primary_key("pk_usage_minutes", "usage_minutes", list(_KEY))
