"""API keys on the wire."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from aitbc.schemas.common import FreeJson, JsonObject, LimitPerMinute, Name, Request, Response, Time, known
from aitbc.schemas.scopes import Environment, Preset, Scope

MAX_GRACE_PERIOD_S = 7 * 24 * 3600

Expiry = Annotated[datetime, Meta(tz=True, description="RFC 3339 with a time zone; in the future.")]
AllowedIps = Annotated[
    list[Annotated[str, Meta(min_length=2, max_length=64, extra_json_schema={"format": "ip-network"})]],
    Meta(max_length=100, description="Addresses or networks (CIDR), IPv4 and IPv6; empty: from anywhere."),
]
Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=len(Scope))]
#: In an answer, where a newer server may name others.
AnsweredEnvironment = Annotated[str, known(Environment)]
AnsweredScope = Annotated[str, known(Scope)]
AnsweredPreset = Annotated[str, known(Preset)]
GracePeriod = Annotated[int, Meta(ge=0, le=MAX_GRACE_PERIOD_S, description="Seconds, up to 7 days.")]


class KeyStatus(StrEnum):
    """What a key is good for now."""

    ACTIVE = "active"
    DISABLED = "disabled"
    EXPIRED = "expired"
    REVOKED = "revoked"


class PreviousSecret(Response):
    """The older of two live secrets, while a regenerated key is in its grace period."""

    expires_at: Time
    last_used_at: Time | None


class ApiKey(Response):
    """An API key without its secret. ``id`` stays for life, whatever is regenerated."""

    id: str
    name: str
    masked: str
    environment: AnsweredEnvironment
    preset: AnsweredPreset | None
    scopes: list[AnsweredScope]
    tenant_id: str
    tenant_ids: list[str]
    status: Annotated[str, known(KeyStatus)]
    created_at: Time
    created_by: str | None
    expires_at: Time | None
    last_used_at: Time | None
    last_used_ip: str | None
    allowed_ips: list[str]
    limit_per_minute: int | None
    metadata: JsonObject
    secret_created_at: Time
    previous_secret: PreviousSecret | None


class ChangedApiKey(ApiKey):
    """An API key after a change. ``confirmed`` is false on a 202 answer: the change is committed, but not yet known
    to every node; it is absent where it is in effect everywhere.
    """

    confirmed: bool | UnsetType = UNSET


class ApiKeyWithSecret(ChangedApiKey):
    """An API key as it is answered once, on create and regenerate: ``key`` is shown now and never again.

    ``key`` is absent when an idempotent create is replayed: the secret is stored nowhere.
    """

    key: str | UnsetType = UNSET


class CreateApiKey(Request):
    """POST /v1/api-keys. Scopes come from ``preset`` (default: client) or are given one by one, not both."""

    name: Name
    environment: Environment | None = None
    preset: Preset | None = None
    scopes: Scopes | None = None
    expires_at: Expiry | None = None
    allowed_ips: AllowedIps = field(default_factory=list)
    limit_per_minute: LimitPerMinute | None = None
    metadata: FreeJson = field(default_factory=dict)


class UpdateApiKey(Request):
    """PATCH /v1/api-keys/{key_id}. What is absent stays; null clears where null is allowed."""

    name: Name | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    expires_at: Expiry | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    allowed_ips: AllowedIps | UnsetType = UNSET
    limit_per_minute: LimitPerMinute | UnsetType | None = UNSET
    metadata: FreeJson | UnsetType = UNSET


class RegenerateApiKey(Request):
    """POST /v1/api-keys/{key_id}/regenerate. The old secret goes on for the grace period, then stops."""

    grace_period_seconds: GracePeriod = 0


class LimitStatus(Response):
    """Where one limit stands: ``reset_s`` is when the oldest counted request leaves the window."""

    name: str
    limit: int
    window_s: int
    remaining: int
    reset_s: int


class TenantSummary(Response):
    """The tenant on whose behalf a key acts."""

    id: str
    name: str
    plan: str


class KeySelf(Response):
    """GET /v1/api-keys/self: the presented key, its tenant and how much of its limits is left."""

    key: ApiKey
    tenant: TenantSummary
    limits: list[LimitStatus]


_ADDRESS = {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


class VerifyApiKey(Request):
    """POST /v1/api-keys/verify: is this key good for this request?"""

    key: Annotated[str, Meta(max_length=512)]
    scope: Annotated[str, Meta(max_length=64, extra_json_schema={"enum": list(Scope)})] | None = None
    tenant_id: Annotated[str, Meta(max_length=64)] | None = None
    client_ip: Annotated[str, Meta(max_length=64, extra_json_schema=_ADDRESS)] | None = None
    cost: Annotated[int, Meta(ge=0, le=10_000_000)] = 1


class VerifyCode(StrEnum):
    """Why a key is good, or not."""

    VALID = "VALID"
    NOT_FOUND = "NOT_FOUND"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    DISABLED = "DISABLED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    TENANT_MISMATCH = "TENANT_MISMATCH"
    TENANT_SUSPENDED = "TENANT_SUSPENDED"
    IP_NOT_ALLOWED = "IP_NOT_ALLOWED"
    RATE_LIMITED = "RATE_LIMITED"


class VerifyRateLimit(Response):
    """The tightest limit of a verified key after this decision."""

    limit: int
    remaining: int
    reset_s: int


class VerifyResult(Response):
    """The answer to a verify call. For a key that is not found, all but ``valid`` and ``code`` is null."""

    valid: bool
    code: Annotated[str, known(VerifyCode)]
    key_id: str | None = None
    tenant_id: str | None = None
    plan: str | None = None
    scopes: list[AnsweredScope] | None = None
    environment: AnsweredEnvironment | None = None
    expires_at: Time | None = None
    metadata: JsonObject | None = None
    ratelimit: VerifyRateLimit | None = None
