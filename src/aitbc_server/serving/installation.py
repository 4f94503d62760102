"""An installation for whoever works on it beside its server: operators' commands, `aitbc dev` before it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Clock, system_clock
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Fences
from aitbc_server.db.outside_fences import OutsideFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.serving import checks, database_checks, folder, presence
from aitbc_server.settings import Settings
from aitbc_server.tenants.plans import PlanService
from aitbc_server.tenants.service import TenantService

if TYPE_CHECKING:
    from aitbc_server.api_keys.imports import KeyImports
    from aitbc_server.api_keys.service import ApiKeyService
    from aitbc_server.users.administration import UserAdministration


class Installation:
    """The services over one database and its secret keys.

    A command needs one or two of them, and whoever typed it should not wait for the import of the others.
    """

    def __init__(
        self, database: Database, secret_keys: SecretKeys, fences: Fences, clock: Clock = system_clock
    ) -> None:
        self.database = database
        self.secret_keys = secret_keys
        self._clock = clock
        self._units = units = UnitsOfWork(database, fences, clock)
        self._digests = SecretDigests(secret_keys)
        self._audit = audit = AuditLog(secret_keys, clock)
        self.tenants = TenantService(units, audit)
        self.plans = PlanService(units, audit)

    @cached_property
    def imports(self) -> KeyImports:
        """Brings keys in."""
        from aitbc_server.api_keys.imports import KeyImports

        return KeyImports(self._units, self._digests, self._audit)

    @cached_property
    def api_keys(self) -> ApiKeyService:
        """Makes keys."""
        from aitbc_server.api_keys.service import ApiKeyService
        from aitbc_server.idempotency.service import IdempotencyKeys
        from aitbc_server.pagination import Cursors
        from aitbc_server.usage.last_use import LastUses

        return ApiKeyService(
            self._units,
            self._digests,
            self._audit,
            Cursors(self.secret_keys),
            IdempotencyKeys(self._units),
            LastUses(self.database, self._clock),
        )

    async def renew_fences(self) -> int:
        """Let every node read anew what it knows of any tenant; how many tenants."""
        from aitbc_server.transfer import fences

        return await fences.renew(self._units)

    def users(self, settings: Settings) -> UserAdministration:
        """What operators do to accounts; links lead to where the server is: where it runs, or where it would."""
        from aitbc_server.mail.outbox import Mailbox
        from aitbc_server.users.accounts import Accounts

        settings = _as_served(settings)
        mailbox = Mailbox(self.secret_keys, self._clock, works=settings.sends_mail)
        return Accounts(settings, self._units, self.secret_keys, self._audit, mailbox).administration


def _as_served(settings: Settings) -> Settings:
    """The settings with the address on which a server of this folder answers: it may have other variables."""
    address = urlsplit(folder.holder(settings.data_dir)[1])
    if not folder.is_served(settings.data_dir) or address.hostname is None or address.port is None:
        return settings
    return msgspec.structs.replace(settings, host=address.hostname, port=address.port)


def is_there(settings: Settings) -> bool:
    """Whether there is a database to work on. PostgreSQL is asked itself."""
    url = settings.sqlalchemy_url
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Installation, OutsideFences]]:
    """The installation that the settings name, and whether its server has confirmed what was changed.

    A fresh SQLite folder is made ready. Raises StartError where the database cannot be used, and SettingError where the
    secret key that was named cannot be.
    """
    checks.ensure_named_secret_key(settings)
    if not (settings.database_url and (settings.secret_key or settings.secret_key_file)):
        folder.prepare(settings.data_dir)
    database = Database(settings.sqlalchemy_url)
    try:
        await checks.ensure_schema(database, may_migrate=database.is_sqlite, may_be_newer=True)
        secret_keys = await checks.load_secret_keys(settings, database)
        async with _fences(settings, database) as fences:
            yield Installation(database, secret_keys, fences), fences
    finally:
        await database.close()


@asynccontextmanager
async def _fences(settings: Settings, database: Database) -> AsyncIterator[OutsideFences]:
    def server_runs() -> Awaitable[bool]:
        return presence.server_runs(database, settings.data_dir)

    if not settings.valkey_url:
        yield OutsideFences(database, server_runs)
        return
    from aitbc_server.fleet import SharedStore
    from aitbc_server.gate.cache import CredentialCache

    shared = SharedStore(settings.valkey_url, CredentialCache(), partial(checks.installation, database))
    async with shared.running():
        yield OutsideFences(database, server_runs, shared.raise_or_fail)


async def migrated(settings: Settings) -> tuple[str | None, str | None]:
    """Bring the schema to this release's version, never back from a later one's; the version before, and now.

    Raises StartError.
    """
    if not settings.database_url:
        folder.prepare(settings.data_dir)
    database = Database(settings.sqlalchemy_url)
    try:
        await database_checks.ensure_fit(database)
        async with checks.explained(database):
            before = await migrate.current_revision(database)
        await checks.ensure_schema(database, may_migrate=True, may_be_newer=True)
        async with checks.explained(database):
            return before, await migrate.current_revision(database)
    finally:
        await database.close()
