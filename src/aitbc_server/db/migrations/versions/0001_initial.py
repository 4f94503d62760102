"""The first schema, with the three plans that every installation starts with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_PARTIAL_JOB_INDEXES = [
    ("ix_jobs_queue", "QUEUED", ["environment", "requested_at", "id"]),
    ("ix_jobs_tenant_queue", "QUEUED", ["tenant_id", "environment", "requested_at", "id"]),
    ("ix_jobs_expiry", "QUEUED", ["expires_at"]),
    ("ix_jobs_lease", "RUNNING", ["lease_expires_at"]),
    ("ix_jobs_miner", "RUNNING", ["miner_kid", "miner_id"]),
]


def upgrade() -> None:
    _create_audit_events()
    _create_audit_heads()
    _create_fence_outbox()
    _create_idempotency_keys()
    _create_plans()
    _create_usage_minutes()
    _create_tenants()
    _create_api_keys()
    _create_jobs()
    _create_api_key_grants()
    _create_miners()
    op.bulk_insert(
        sa.table("plans", sa.column("id"), sa.column("name"), sa.column("limit_per_minute")),
        [
            {"id": "free", "name": "Free", "limit_per_minute": 60},
            {"id": "pro", "name": "Pro", "limit_per_minute": 600},
            {"id": "enterprise", "name": "Enterprise", "limit_per_minute": 6000},
        ],
    )


def downgrade() -> None:
    with op.batch_alter_table("miners", schema=None) as batch_op:
        batch_op.drop_index("ix_miners_latest")
        batch_op.drop_index("ix_miners_list")

    op.drop_table("miners")
    with op.batch_alter_table("api_key_grants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_key_grants_tenant_id"))

    op.drop_table("api_key_grants")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for name, _, _ in reversed(_PARTIAL_JOB_INDEXES):
            batch_op.drop_index(name)
        batch_op.drop_index("ix_jobs_list")

    op.drop_table("jobs")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index("ix_api_keys_list")

    op.drop_table("api_keys")
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tenants_plan_id"))

    op.drop_table("tenants")
    op.drop_table("usage_minutes")
    op.drop_table("plans")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))

    op.drop_table("idempotency_keys")
    op.drop_table("fence_outbox")
    op.drop_table("audit_heads")
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_events_time")
        batch_op.drop_index("ix_audit_events_target")

    op.drop_table("audit_events")


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor_type", sa.String(length=10), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=True),
        sa.Column("actor_name", sa.String(length=200), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_type", sa.String(length=20), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=True),
        sa.Column("client_ip", sa.String(length=45), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("key_version", sa.String(length=8), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "sequence", name=op.f("pk_audit_events")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_events_id")),
    )
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.create_index("ix_audit_events_target", ["tenant_id", "target_id", "sequence"], unique=False)
        batch_op.create_index("ix_audit_events_time", ["tenant_id", "time"], unique=False)


def _create_audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_audit_heads")),
    )


def _create_fence_outbox() -> None:
    op.create_table(
        "fence_outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fence_outbox")),
        sqlite_autoincrement=True,
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "environment", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("limit_per_minute", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
    )


def _create_usage_minutes() -> None:
    op.create_table(
        "usage_minutes",
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("kid", sa.String(length=12), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "environment",
            "minute",
            "kid",
            "outcome",
            "operation",
            "source",
            name=op.f("pk_usage_minutes"),
        ),
    )


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("plan_id", sa.String(length=63), nullable=False),
        sa.Column("suspended_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_tenants_plan_id_plans")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
    )
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tenants_plan_id"), ["plan_id"], unique=False)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("kid", sa.String(length=12), nullable=False),
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("preset", sa.String(length=20), nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("allowed_ips", sa.JSON(), nullable=False),
        sa.Column("limit_per_minute", sa.Integer(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("verifies_all", sa.Boolean(), nullable=False),
        sa.Column("made_by_dev", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pepper_version", sa.String(length=8), nullable=False),
        sa.Column("lookup", sa.LargeBinary(length=32), nullable=True),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("secret_created_at", sa.BigInteger(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("previous_pepper_version", sa.String(length=8), nullable=True),
        sa.Column("previous_lookup", sa.LargeBinary(length=32), nullable=True),
        sa.Column("previous_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("previous_last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ip", sa.String(length=45), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_api_keys_tenant_id_tenants")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("lookup", name=op.f("uq_api_keys_lookup")),
        sa.UniqueConstraint("previous_lookup", name=op.f("uq_api_keys_previous_lookup")),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index("ix_api_keys_list", ["tenant_id", "created_at", "kid"], unique=False)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("constraints", sa.JSON(), nullable=False),
        sa.Column("payment_amount", sa.Double(), nullable=True),
        sa.Column("payment_currency", sa.String(length=16), nullable=True),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("metrics", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("receipt", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("holder_kids", sa.JSON(), nullable=False),
        sa.Column("miner_kid", sa.String(length=12), nullable=True),
        sa.Column("miner_id", sa.String(length=100), nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_jobs_tenant_id_tenants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_list", ["tenant_id", "environment", "requested_at", "id"], unique=False)
        for name, state, columns in _PARTIAL_JOB_INDEXES:
            where = sa.text(f"state = '{state}'")
            batch_op.create_index(name, columns, unique=False, sqlite_where=where, postgresql_where=where)


def _create_api_key_grants() -> None:
    op.create_table(
        "api_key_grants",
        sa.Column("kid", sa.String(length=12), nullable=False),
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("granted_by", sa.String(length=64), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["kid"], ["api_keys.kid"], name=op.f("fk_api_key_grants_kid_api_keys")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_api_key_grants_tenant_id_tenants")),
        sa.PrimaryKeyConstraint("kid", "tenant_id", name=op.f("pk_api_key_grants")),
    )
    with op.batch_alter_table("api_key_grants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_grants_tenant_id"), ["tenant_id"], unique=False)


def _create_miners() -> None:
    op.create_table(
        "miners",
        sa.Column("kid", sa.String(length=12), nullable=False),
        sa.Column("miner_id", sa.String(length=100), nullable=False),
        sa.Column("tenant_id", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=True),
        sa.Column("status", sa.String(length=100), nullable=False),
        sa.Column("inflight", sa.Integer(), nullable=False),
        sa.Column("status_metadata", sa.JSON(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["kid"], ["api_keys.kid"], name=op.f("fk_miners_kid_api_keys")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_miners_tenant_id_tenants")),
        sa.PrimaryKeyConstraint("kid", "miner_id", name=op.f("pk_miners")),
    )
    with op.batch_alter_table("miners", schema=None) as batch_op:
        batch_op.create_index(
            "ix_miners_list", ["tenant_id", "environment", "registered_at", "kid", "miner_id"], unique=False
        )
        batch_op.create_index("ix_miners_latest", ["kid", "registered_at"], unique=False)
