"""An installation for whoever works on it beside its server: operators' commands, `aitbc dev` before it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aitbc_server.api_keys.digests import SecretDigests
from aitbc_server.api_keys.imports import KeyImports
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Clock, system_clock
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Fences, OutsideFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.pagination import Cursors
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.serving import checks, folder, presence
from aitbc_server.settings import Settings
from aitbc_server.tenants.plans import PlanService
from aitbc_server.tenants.service import TenantService
from aitbc_server.usage.last_use import LastUses


class Installation:
    """The services over one database and its secret keys."""

    def __init__(
        self, database: Database, secret_keys: SecretKeys, fences: Fences, clock: Clock = system_clock
    ) -> None:
        self.database = database
        self.secret_keys = secret_keys
        units = UnitsOfWork(database, fences, clock)
        digests = SecretDigests(secret_keys)
        audit = AuditLog(secret_keys, clock)
        self.tenants = TenantService(units, audit)
        self.plans = PlanService(units, audit)
        self.imports = KeyImports(units, digests, audit)
        self.api_keys = ApiKeyService(
            units, digests, audit, Cursors(secret_keys), IdempotencyKeys(units), LastUses(database, clock)
        )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Installation, OutsideFences]]:
    """The installation that the settings name, and whether its server has confirmed what was changed.

    A fresh SQLite folder is made ready. Raises StartError where the database cannot be used.
    """
    folder.prepare(settings.data_dir)
    database = Database(settings.sqlalchemy_url)
    try:
        await checks.ensure_schema(database, may_migrate=database.is_sqlite)
        secret_keys = await checks.load_secret_keys(settings, database)
        fences = OutsideFences(database, lambda: presence.server_runs(database, settings.data_dir))
        yield Installation(database, secret_keys, fences), fences
    finally:
        await database.close()


async def migrated(settings: Settings) -> str | None:
    """Bring the schema to this release's version; the version before. Raises StartError."""
    folder.prepare(settings.data_dir)
    database = Database(settings.sqlalchemy_url)
    try:
        async with checks.explained(database):
            before = await migrate.current_revision(database)
        await checks.ensure_schema(database, may_migrate=True)
        return before
    finally:
        await database.close()
