"""A whole server in this process, over a real database, with a clock that tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from aitbc import keyformat
from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.app import create_app
from aitbc_server.clock import US_PER_S, Timestamp, from_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.asgi import App
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.settings import Settings
from aitbc_server.tenants.model import TenantRow

MINUTE_US = 60 * US_PER_S
RETENTION = Settings().usage_retention
#: 2026-11-24T05:46:30Z, half a minute into a minute.
START_US = 1_795_499_190 * US_PER_S


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        """The time in microseconds."""
        return self.now_us

    def timestamp(self) -> Timestamp:
        """The time in milliseconds."""
        return from_ms(self.now_us // 1000)


class Key(NamedTuple):
    """A key: its id, its secret text, and the headers that present it."""

    id: str
    text: str

    @property
    def kid(self) -> str:
        """The id without its prefix."""
        return self.id.removeprefix("key_")

    @property
    def headers(self) -> Mapping[str, str]:
        """For a request with this key."""
        return {"X-API-Key": self.text}


class World:
    """One installation: its folder, its database, and the server that runs on them."""

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        url = database.url.render_as_string(hide_password=False)
        self.settings = Settings(data_dir=folder, database_url=url, max_failures_per_minute=1_000_000)
        self.secret_keys = SecretKeys.load_or_create(folder / "secret.key")
        self._digests = SecretDigests(self.secret_keys)

    async def add_tenant(self, tenant_id: str, plan: str = "enterprise", *, suspended: bool = False) -> None:
        """A tenant, straight into the database."""
        at = self.clock.timestamp()
        async with self.database.write() as session:
            session.add(
                TenantRow(
                    id=tenant_id, name=tenant_id, plan_id=plan, created_at=at, suspended_at=at if suspended else None
                )
            )
            await session.commit()

    async def add_key(
        self,
        tenant_id: str,
        environment: str = "live",
        scopes: Iterable[Scope] = PRESET_SCOPES[Preset.MANAGER],
        *,
        also: Iterable[str] = (),
        **fields: Any,
    ) -> Key:
        """A key of a tenant, straight into the database; ``fields`` are columns."""
        parts = keyformat.generate(environment)
        digest = self.digest(parts, tenant_id)
        row = ApiKeyRow(
            kid=parts.kid,
            tenant_id=tenant_id,
            environment=environment,
            name=fields.pop("name", "a key"),
            scopes=sorted(scopes),
            created_at=self.clock.timestamp(),
            enabled=fields.pop("enabled", True),
            allowed_ips=fields.pop("allowed_ips", []),
            metadata_={},
            digest=digest,
            pepper_version=self._digests.newest,
            last4="abcd",
            secret_created_at=self.clock.timestamp(),
            **fields,
        )
        at = self.clock.timestamp()
        async with self.database.write() as session:
            session.add(row)
            await session.flush()
            session.add_all(
                ApiKeyGrantRow(kid=parts.kid, tenant_id=tenant, granted_by="operator", granted_at=at) for tenant in also
            )
            await session.commit()
        return Key(f"key_{parts.kid}", keyformat.build(*parts))

    def digest(self, parts: keyformat.KeyParts, tenant_id: str) -> bytes:
        """What the database holds in place of a secret."""
        digest = self._digests.digest(
            self._digests.newest,
            kid=parts.kid,
            tenant_id=tenant_id,
            environment=parts.environment,
            secret=parts.secret,
        )
        assert digest is not None
        return digest

    @asynccontextmanager
    async def server(self, *, killed: bool = False) -> AsyncIterator[httpx2.AsyncClient]:
        """A started server; it is stopped in good order, or with ``killed`` simply ends."""
        app = create_app(self.settings, self.clock)
        async with _lifespan(app, killed=killed):
            transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 1234))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client


@asynccontextmanager
async def _lifespan(app: App, *, killed: bool) -> AsyncIterator[None]:
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        if killed:
            # The tasks end where they are, as a process that is killed: nothing is written any more.
            running.cancel()
            await asyncio.wait([running])
        else:
            await to_app.put({"type": "lifespan.shutdown"})
            assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
            await running
