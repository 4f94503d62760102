"""What may be done to API keys, and by whom. Every change is one unit of work with its audit row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.api_keys import (
    ApiKey,
    ApiKeyWithSecret,
    ChangedApiKey,
    CreateApiKey,
    KeyStatus,
    RegenerateApiKey,
    UpdateApiKey,
)
from aitbc.schemas.common import Page
from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import creation, fields, permissions, repository, views
from aitbc_server.api_keys.credentials import issuing
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.api_keys.repository import Filters
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.errors import conflict, insufficient_scope, not_found
from aitbc_server.gate.records import UsageId
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.ids import key_id, kid_of
from aitbc_server.json_limits import check_text
from aitbc_server.names import check_name
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors, cut, listing
from aitbc_server.users import repository as users
from aitbc_server.users.roles import ROLE_SCOPES, Role


class SecretListener(Protocol):
    """Whoever wants to know of new secrets before they are first used: ``CredentialCache.expect``."""

    def __call__(self, text: bytes, usage_id: UsageId) -> None:
        """A key was given this text, and it is committed. The text is not to be kept."""
        ...


def _nobody(text: bytes, usage_id: UsageId) -> None:
    """A process that checks no keys."""


class ApiKeyService:
    """Creates, shows and changes API keys.

    Raises ``not_found`` for keys that the actor may not know of, ``insufficient_scope`` for what it may not do,
    ``conflict`` for what a key's state does not allow, ``validation_error`` for values that are not right.

    ``max_keys``: how many keys a tenant may have that are neither revoked nor expired; None: any number.
    """

    def __init__(
        self,
        units: UnitsOfWork,
        digests: SecretDigests,
        audit: AuditLog,
        cursors: Cursors,
        idempotency: IdempotencyKeys,
        last_use: views.LastUse,
        *,
        on_new_secret: SecretListener = _nobody,
        max_keys: int | None = None,
    ) -> None:
        self._units = units
        self._digests = digests
        self._audit = audit
        self._cursors = cursors
        self._idempotency = idempotency
        self._last_use = last_use
        self._on_new_secret = on_new_secret
        self._max_keys = max_keys

    async def create(
        self,
        actor: Actor,
        wanted: CreateApiKey,
        *,
        idempotency_key: str | None = None,
        tenant_ids: Iterable[str] = (),
        verifies_all: bool = False,
        made_by_dev: bool = False,
    ) -> ApiKeyWithSecret:
        """Make a key. The answer holds the secret, this once; a request that comes again is answered without it.

        ``tenant_ids``, ``verifies_all`` and ``made_by_dev`` are for operators: further tenants that the key may act
        for, whether it checks the keys of all tenants, and whether it is a key that ``serve`` must refuse.
        """
        at = self._now()
        async with self._units.read() as session:
            actor = await _as_person(session, actor)
        row = creation.new_row(actor, wanted, at)
        row.verifies_all, row.made_by_dev = verifies_all, made_by_dev
        with self._idempotency.running(actor, "api_keys.create", idempotency_key, wanted) as claim:
            async with self._units.begin() as unit:
                earlier_id = await self._idempotency.claim(unit.session, claim, key_id(row.kid))
                if earlier_id is not None:
                    return await self._as_made_before(unit.session, actor, earlier_id)
                secret = issuing.issue(row, self._digests, at)
                key = await creation.store(unit, self._audit, actor, row, tenant_ids, at, max_keys=self._max_keys)
                confirmed = await unit.commit()
                self._tell_of(row, secret)
                return views.with_secret(key, secret, confirmed=confirmed)

    async def list(
        self,
        actor: Actor,
        *,
        status: KeyStatus | None = None,
        environment: Environment | None = None,
        q: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[ApiKey]:
        """The keys that the actor sees, newest first: its tenant's of its environment, or only itself."""
        if q is not None:
            check_text("q", q)
        at = self._now()
        keys_of = listing("api_keys", actor.tenant_id, actor.environment, environment, status, q)
        after = None if cursor is None else self._cursors.decode(keys_of, cursor)
        if actor.environment is not None and environment not in {None, actor.environment}:
            return Page[ApiKey](items=[])
        filters = _in_sight(actor, Filters(environment=environment or actor.environment, status=status, q=q, at=at))
        async with self._units.read() as session:
            found = await repository.page(session, filters, limit=limit + 1, after=after)
            rows, more = cut(list(found), limit)
            keys = await views.shown_all(session, rows, self._last_use, at)
        last = rows[-1] if more else None
        return Page[ApiKey](
            items=keys, next_cursor=None if last is None else self._cursors.encode(keys_of, last.created_at, last.kid)
        )

    async def get(self, actor: Actor, key_id: str) -> ApiKey:
        """One key."""
        async with self._units.read() as session:
            row = permissions.visible(actor, await repository.get(session, _kid(key_id)))
            permissions.check_may(actor, Scope.API_KEYS_READ, row)
            return await self._shown(session, row)

    async def get_to_manage(self, actor: Actor, key_id: str) -> ApiKey:
        """One key that the actor may change."""
        async with self._units.read() as session:
            row = permissions.visible(actor, await repository.get(session, _kid(key_id)))
            permissions.check_manages(actor, row)
            return await self._shown(session, row)

    async def plan_limit(self, actor: Actor) -> int:
        """How many requests a minute the plan of the actor's tenant allows, and so a key's own limit at most."""
        async with self._units.read() as session:
            return (await repository.plan_limits(session, [actor.tenant_id]))[actor.tenant_id]

    async def update(self, actor: Actor, key_id: str, wanted: UpdateApiKey) -> ChangedApiKey:
        """Change what is given. To disable a key takes no more than ``api_keys:write``, to change it its scopes too."""
        async with self._units.begin() as unit:
            actor = await _as_person(unit.session, actor)
            row = await self._locked(unit.session, actor, key_id)
            permissions.check_not_own(actor, row)
            permissions.check_manages(actor, row)
            if not _only_disables(wanted):
                await self._check_reach(unit.session, actor, row)
                permissions.check_within(actor, wanted.scopes or ())
            if row.revoked_at is not None:
                raise _is_revoked()
            before = await self._shown(unit.session, row)
            plan_limits = await repository.plan_limits(unit.session, [row.tenant_id])
            _apply(row, wanted, self._now(), plan_limits[row.tenant_id])
            return await self._commit(unit, actor, row, before, "api_key.updated")

    async def revoke(self, actor: Actor, key_id: str) -> ChangedApiKey:
        """End a key for good. Revoking it again changes nothing."""
        async with self._units.begin() as unit:
            actor = await _as_person(unit.session, actor)
            row = await self._locked(unit.session, actor, key_id)
            permissions.check_manages(actor, row)
            before = await self._shown(unit.session, row)
            if row.revoked_at is None:
                row.revoked_at = self._now()
                unit.ends(row.kid)
            return await self._commit(unit, actor, row, before, "api_key.revoked")

    async def regenerate(
        self, actor: Actor, key_id: str, wanted: RegenerateApiKey, *, replaces: datetime | None = None
    ) -> ApiKeyWithSecret:
        """A new secret under the same id; the present one goes on for the grace period, an older one stops now.

        ``replaces``: when the secret was made that the caller means to replace, so that a form that is sent twice
        replaces it once. Raises ``conflict`` where there is another one by now.
        """
        async with self._units.begin() as unit:
            actor = await _as_person(unit.session, actor)
            row = await self._locked(unit.session, actor, key_id)
            permissions.check_manages(actor, row)
            await self._check_reach(unit.session, actor, row)
            if row.revoked_at is not None:
                raise _is_revoked()
            if replaces not in {None, row.secret_created_at}:
                raise conflict("The secret was regenerated in the meantime. Nothing was changed now.")
            before = await self._shown(unit.session, row)
            last_used_at = before.last_used_at
            secret = issuing.reissue(
                row,
                self._digests,
                self._now(),
                grace_s=wanted.grace_period_seconds,
                last_used_at=None if last_used_at is None else from_ms(to_ms(last_used_at)),
            )
            answer = await self._commit(unit, actor, row, before, "api_key.regenerated")
            self._tell_of(row, secret)
            return ApiKeyWithSecret(**{field: answer[field] for field in answer}, key=secret)

    def _tell_of(self, row: ApiKeyRow, secret: str) -> None:
        self._on_new_secret(secret.encode(), (row.tenant_id, row.environment, row.kid))

    async def _check_reach(self, session: AsyncSession, actor: Actor, row: ApiKeyRow) -> None:
        """The key can do nothing, and act for nobody, that the actor cannot."""
        if not permissions.stands_for(actor, row):
            permissions.check_within(actor, row.scopes)
        granted = (await repository.granted_tenants(session, [row.kid])).get(row.kid, [])
        own_tenants = await repository.tenants_of(session, actor.kid or "") if granted else []
        permissions.check_reaches_no_further(actor, row, granted, [actor.tenant_id, *own_tenants])

    async def _as_made_before(self, session: AsyncSession, actor: Actor, key_id: str) -> ApiKeyWithSecret:
        row = permissions.visible(actor, await repository.get(session, _kid(key_id)))
        key = await self._shown(session, row)
        return ApiKeyWithSecret(**{field: key[field] for field in key})

    async def _commit(
        self, unit: UnitOfWork, actor: Actor, row: ApiKeyRow, before: ApiKey, action: str
    ) -> ChangedApiKey:
        """Record and commit what was changed; what was not changed leaves no trace."""
        after = await self._shown(unit.session, row)
        was, became = views.difference(views.document(before), views.document(after))
        if not became:
            return views.changed(after, confirmed=True)
        # A key that acts for another tenant may still end itself: that belongs into its own tenant's log.
        recorded_for = msgspec.structs.replace(actor, tenant_id=row.tenant_id)
        await self._audit.record(
            unit.session,
            recorded_for,
            action,
            ("api_key", key_id(row.kid)),
            before=was,
            after=became,
            environment=row.environment,
        )
        at = self._now()
        if _is_over(before, at) and not _is_over(after, at):
            await creation.check_room(unit, actor, row.tenant_id, at, self._max_keys)
        unit.makes_stale(row.tenant_id)
        return views.changed(after, confirmed=await unit.commit())

    async def _locked(self, session: AsyncSession, actor: Actor, key_id: str) -> ApiKeyRow:
        """The key, held until the transaction ends: changes to one key come one after another."""
        return permissions.visible(actor, await repository.get(session, _kid(key_id), for_update=True))

    async def _shown(self, session: AsyncSession, row: ApiKeyRow) -> ApiKey:
        return await views.shown(session, row, self._last_use, self._now())

    def _now(self) -> Timestamp:
        return now(self._units.clock)


def _kid(key_id: str) -> str:
    """The kid in an id that came from outside. Raises ``not_found`` for what cannot be one."""
    kid = kid_of(key_id)
    if kid is None:
        raise not_found()
    return kid


async def _as_person(session: AsyncSession, actor: Actor) -> Actor:
    """The actor, with the role of the person where it is a key that stands for one: it may no more than they may now.

    A key is told from others by its row alone, so that no request but a change of keys pays for it.
    """
    acting = None if actor.kid is None else await repository.get(session, actor.kid)
    if acting is None or acting.user_id is None:
        return actor
    membership = await users.membership(session, actor.tenant_id, acting.user_id)
    if membership is None:
        return msgspec.structs.replace(actor, scopes=frozenset())
    role = Role(membership.role)
    scopes = actor.scopes & ROLE_SCOPES[role]
    return msgspec.structs.replace(actor, role=role, scopes=scopes, user_id=acting.user_id)


def _in_sight(actor: Actor, filters: Filters) -> Filters:
    if actor.may(Scope.API_KEYS_READ):
        return msgspec.structs.replace(filters, tenant_id=actor.tenant_id)
    if actor.kid is None:
        raise insufficient_scope(Scope.API_KEYS_READ)
    return msgspec.structs.replace(filters, kid=actor.kid)


def _is_revoked() -> Exception:
    return conflict("This API key is revoked, which is final. Create another one.")


def _is_over(key: ApiKey, at: Timestamp) -> bool:
    return key.expires_at is not None and key.expires_at <= at


def _only_disables(wanted: UpdateApiKey) -> bool:
    return wanted.enabled is False and wanted == UpdateApiKey(enabled=False)


def _apply(row: ApiKeyRow, wanted: UpdateApiKey, at: Timestamp, plan_limit: int) -> None:
    if wanted.name is not UNSET:
        row.name = check_name(wanted.name)
    if wanted.scopes is not UNSET:
        _apply_scopes(row, wanted.scopes)
    if wanted.expires_at is not UNSET:
        row.expires_at = fields.check_expiry(wanted.expires_at, at)
    if wanted.enabled is not UNSET:
        row.enabled = wanted.enabled
        if wanted.enabled and row.user_disabled:
            raise conflict(
                "This API key stands for a person whose account is disabled. It works again when the account does."
            )
    if wanted.allowed_ips is not UNSET:
        row.allowed_ips = fields.check_allowed_ips(wanted.allowed_ips)
    if wanted.limit_per_minute is not UNSET:
        row.limit_per_minute = fields.check_limit(wanted.limit_per_minute, plan_limit)
    if wanted.metadata is not UNSET:
        row.metadata_ = fields.check_metadata(wanted.metadata)


def _apply_scopes(row: ApiKeyRow, wanted: Iterable[str]) -> None:
    scopes = fields.in_order(Scope, wanted)
    if scopes != row.scopes:
        row.scopes, row.preset = scopes, None
