"""``client.api_keys``: make, see, change, rotate, revoke and check API keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from aitbc._call import Call, Time, body, path, query
from aitbc._methods import M, Resource, listing, operation
from aitbc.resources.usage import usage_query
from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret, ChangedApiKey, KeySelf, KeyStatus, VerifyResult
from aitbc.schemas.common import Page
from aitbc.schemas.scopes import Environment, Preset, Scope
from aitbc.schemas.usage import Granularity, GroupBy, Usage


class ApiKeys(Resource[M]):
    """API keys of the tenant, in the caller's environment."""

    @operation
    def create(
        self,
        *,
        name: str,
        environment: Environment | str | None = None,
        preset: Preset | str | None = None,
        scopes: Iterable[Scope | str] | None = None,
        expires_at: Time | None = None,
        allowed_ips: Iterable[str] = (),
        limit_per_minute: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ApiKeyWithSecret]:
        """Make a key: ``client.api_keys.create(name="ci", preset="client").key``, shown now and never again.

        Scopes come from ``preset`` (default: client) or one by one from ``scopes``. ``allowed_ips`` are
        addresses or networks, none: from anywhere. Retried after a lost answer only with an
        ``idempotency_key``; then the answer may come without ``key`` (regenerate to get one).

        Raises PermissionDeniedError for scopes that the caller has not, ValidationError, ConflictError for
        an idempotency key that was used for another key.
        """
        return Call(
            "POST",
            "/v1/api-keys",
            ApiKeyWithSecret,
            body=body(
                name=name,
                environment=environment,
                preset=preset,
                scopes=scopes,
                expires_at=expires_at,
                allowed_ips=allowed_ips,
                limit_per_minute=limit_per_minute,
                metadata=metadata or {},
            ),
            idempotency_key=idempotency_key,
        )

    @listing
    def list(
        self,
        *,
        status: KeyStatus | str | None = None,
        environment: Environment | str | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> Call[Page[ApiKey]]:
        """Iterate over the keys that the caller sees: ``for key in client.api_keys.list(status="active")``.

        ``q`` looks in names and ids. ``limit`` is the size of a page (1 to 100, else 50), not of the whole.
        """
        return Call(
            "GET",
            "/v1/api-keys",
            Page[ApiKey],
            query=query(status=status, environment=environment, q=q, limit=limit),
            idempotent=True,
        )

    @operation
    def get(self, key_id: str) -> Call[ApiKey]:
        """One key: ``client.api_keys.get("key_...").last_used_at``. Raises NotFoundError."""
        return Call("GET", _path(key_id), ApiKey, idempotent=True)

    @operation
    def update(
        self,
        key_id: str,
        *,
        name: str | UnsetType = UNSET,
        scopes: Iterable[Scope | str] | UnsetType = UNSET,
        expires_at: Time | UnsetType | None = UNSET,
        enabled: bool | UnsetType = UNSET,
        allowed_ips: Iterable[str] | UnsetType = UNSET,
        limit_per_minute: int | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType = UNSET,
    ) -> Call[ChangedApiKey]:
        """Change what is passed, and nothing else: ``client.api_keys.update("key_...", expires_at=None)``.

        None clears (no expiry, no own limit). Raises NotFoundError, ValidationError, PermissionDeniedError
        for scopes that the caller has not, ConflictError for a key that is revoked.
        """
        return Call(
            "PATCH",
            _path(key_id),
            ChangedApiKey,
            body=body(
                name=name,
                scopes=scopes,
                expires_at=expires_at,
                enabled=enabled,
                allowed_ips=allowed_ips,
                limit_per_minute=limit_per_minute,
                metadata=metadata,
            ),
        )

    @operation
    def revoke(self, key_id: str) -> Call[ChangedApiKey]:
        """End a key for good: ``client.api_keys.revoke("key_...")``. No request that begins later passes.

        Revoking twice does no harm. Raises NotFoundError.
        """
        return Call("POST", _path(key_id, "/revoke"), ChangedApiKey, idempotent=True)

    @operation
    def regenerate(self, key_id: str, grace_period_seconds: int = 0) -> Call[ApiKeyWithSecret]:
        """A new secret under the same id: ``client.api_keys.regenerate("key_...").key``, shown only now.

        The old secret works for ``grace_period_seconds`` more (up to 7 days; 0: it stops at once). Never
        retried after a lost answer. Raises NotFoundError, ConflictError for a key that is revoked.
        """
        return Call(
            "POST",
            _path(key_id, "/regenerate"),
            ApiKeyWithSecret,
            body=body(grace_period_seconds=grace_period_seconds),
        )

    @operation
    def usage(
        self,
        key_id: str,
        *,
        from_: Time | None = None,
        to: Time | None = None,
        granularity: Granularity | str | None = None,
        group_by: GroupBy | str | None = None,
    ) -> Call[Usage]:
        """How a key was used: ``client.api_keys.usage("key_...", group_by="outcome").totals.refused``.

        The range holds ``from_`` and not ``to``. Raises NotFoundError, ValidationError.
        """
        return Call(
            "GET",
            _path(key_id, "/usage"),
            Usage,
            query=usage_query(from_, to, granularity, group_by),
            idempotent=True,
        )

    @operation
    def verify(
        self,
        key: str,
        *,
        scope: Scope | str | None = None,
        tenant_id: str | None = None,
        client_ip: str | None = None,
        cost: int = 1,
    ) -> Call[VerifyResult]:
        """Is this key good for this request? ``client.api_keys.verify(key, scope="jobs:read").valid``.

        For services that put AITBC's check before themselves. A key that is not good is no error: ``code``
        says why. ``cost`` is taken from the limit of ``key``, so a lost answer is not asked for again.
        ``client_ip`` is whose address wrong keys count against; without it they count against your own key.
        Raises ValidationError for a cost beyond the limit.
        """
        return Call(
            "POST",
            "/v1/api-keys/verify",
            VerifyResult,
            body=body(key=key, scope=scope, tenant_id=tenant_id, client_ip=client_ip, cost=cost),
        )

    @operation
    def self(self) -> Call[KeySelf]:
        """The key that the client uses, its tenant and what is left of its limits: who am I?"""
        return Call("GET", "/v1/api-keys/self", KeySelf, idempotent=True)


def _path(key_id: str, action: str = "") -> str:
    return path("/v1/api-keys/{key_id}", key_id=key_id) + action
