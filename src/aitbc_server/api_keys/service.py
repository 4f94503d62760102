"""What may be done to API keys, and by whom. Every change is one unit of work with its audit row."""

from __future__ import annotations

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret, CreateApiKey
from aitbc.schemas.common import Page
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import repository
from aitbc_server.api_keys.digests import SecretDigests
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.ids import key_id
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors
from aitbc_server.wire import to_builtins


class ApiKeyService:
    """Creates, shows and changes API keys."""

    def __init__(self, units: UnitsOfWork, digests: SecretDigests, audit: AuditLog, cursors: Cursors) -> None:
        self._units = units
        self._digests = digests
        self._audit = audit
        self._cursors = cursors

    async def create(self, actor: Actor, wanted: CreateApiKey) -> ApiKeyWithSecret:
        """Make a key. The answer holds the secret, this once."""
        environment = wanted.environment or actor.environment or Environment.LIVE
        preset = wanted.preset or (None if wanted.scopes else Preset.CLIENT)
        scopes = set(wanted.scopes) if wanted.scopes else PRESET_SCOPES[preset or Preset.CLIENT]
        parts = keyformat.generate(environment)
        created_at = now(self._units.clock)
        row = ApiKeyRow(
            kid=parts.kid,
            tenant_id=actor.tenant_id,
            environment=environment,
            name=wanted.name,
            preset=preset,
            scopes=[scope for scope in Scope if scope in scopes],
            created_at=created_at,
            created_by=actor.id,
            expires_at=wanted.expires_at,
            enabled=True,
            allowed_ips=wanted.allowed_ips,
            limit_per_minute=wanted.limit_per_minute,
            metadata_=wanted.metadata,
            digest=self._digests.digest(
                self._digests.newest,
                kid=parts.kid,
                tenant_id=actor.tenant_id,
                environment=environment,
                secret=parts.secret,
            ),
            pepper_version=self._digests.newest,
            last4=(key := keyformat.build(*parts))[-4:],
            secret_created_at=created_at,
        )
        shown = api_key(row, (), created_at)
        async with self._units.begin() as unit:
            unit.session.add(row)
            target = ("api_key", key_id(row.kid))
            await self._audit.record(unit.session, actor, "api_key.created", target, after=to_builtins(shown))
            unit.makes_stale(actor.tenant_id)
            await unit.commit()
        return ApiKeyWithSecret(**to_struct_fields(shown), key=key)

    async def list(self, actor: Actor, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[ApiKey]:
        """The tenant's keys of the actor's environment, or the acting key alone where it may not see others."""
        async with self._units.read() as session:
            row = await repository.get(session, actor.kid or "")
        at = now(self._units.clock)
        return Page[ApiKey](items=[api_key(row, (), at)] if row else [])


def to_struct_fields(shown: ApiKey) -> dict[str, object]:
    """The fields of a key as keyword arguments."""
    return {field: getattr(shown, field) for field in shown.__struct_fields__}
