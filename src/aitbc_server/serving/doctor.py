"""The doctor looks at an installation and says what is wrong with it, and what to do. It changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select, text

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.clock import Clock, Timestamp, now
from aitbc_server.db import migrate, outbox
from aitbc_server.db.engine import Database
from aitbc_server.db.migrate import SchemaState
from aitbc_server.secret_keys import SecretKeyError, SecretKeys
from aitbc_server.serving import checks, database_checks, folder, presence, store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.serving.installation import is_there
from aitbc_server.serving.probe import is_ready, reachable_host
from aitbc_server.settings import Settings, reason
from aitbc_server.users.repository import password_versions

# Two clocks of one machine, or of two that are kept in time, do not differ by more.
_CLOCK_TOLERANCE = timedelta(seconds=5)


async def examine(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """Everything, in the order in which one would look. What rests on something broken is left out."""
    data_dir = _data_dir(settings)
    yield data_dir
    secret = _secret_key(settings)
    yield secret
    if settings.valkey_url:
        async for finding in store_checks.examine(settings.valkey_url):
            yield finding
    if not is_there(settings):
        yield Finding(Level.WARN, "database", "there is none yet", "`aitbc serve` or `aitbc admin migrate` makes it")
        return
    database = Database(settings.sqlalchemy_url)
    try:
        schema = await _schema(database)
        yield schema
        if schema.level is Level.FAIL:
            return
        if settings.valkey_url:
            yield await store_checks.examine_owner(settings.valkey_url, await checks.installation(database))
        async for finding in database_checks.examine(settings, database):
            yield finding
        if secret.level is not Level.FAIL:
            yield await _peppers(settings, database)
            yield await _passwords(settings, database)
        yield await _clock(database, clock)
        yield await _server(settings, database)
        yield await _outbox(settings, database)
        yield await _dev_keys(settings, database)
    except StartError as error:
        yield Finding(Level.FAIL, "database", str(error), error.hint)
    finally:
        await database.close()


def _data_dir(settings: Settings) -> Finding:
    path = settings.data_dir.absolute()
    if not path.exists():
        return Finding(Level.WARN, "data folder", f"{path} is not there yet", "the first start makes it")
    try:
        folder.check_writable(path)
    except StartError as error:
        return Finding(Level.FAIL, "data folder", str(error), error.hint)
    if _others_may_look(path):
        return Finding(Level.WARN, "data folder", f"{path} can be entered by other users", f"chmod 700 {path}")
    return Finding(Level.OK, "data folder", f"{path} can be written to")


def _secret_key(settings: Settings) -> Finding:
    if settings.secret_key:
        return Finding(Level.OK, "secret key", "taken from AITBC_SECRET_KEY")
    path = settings.secret_key_file or settings.own_secret_key_file
    if not settings.secret_key_file and not path.exists():
        return Finding(Level.WARN, "secret key", f"{path} is not there yet", "the first start makes it")
    try:
        SecretKeys.parse(path.read_text(encoding="utf-8"))
    except (SecretKeyError, OSError, UnicodeDecodeError) as error:
        return Finding(Level.FAIL, "secret key", f"{path} cannot be used: {reason(error)}")
    if _others_may_look(path):
        return Finding(Level.FAIL, "secret key", f"{path} can be read by other users", f"chmod 600 {path}")
    return Finding(Level.OK, "secret key", f"{path} is its owner's alone")


async def _schema(database: Database) -> Finding:
    try:
        async with checks.explained(database):
            state = await migrate.schema_state(database)
            revision = await migrate.current_revision(database)
    except StartError as error:
        return Finding(Level.FAIL, "database", str(error), error.hint)
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    if state is SchemaState.CURRENT:
        return Finding(Level.OK, "database", f"{kind} answers; its schema is {revision}, as it should be")
    if state is SchemaState.NEWER:
        detail = f"{kind} answers; its schema {revision} is newer than this release's {migrate.HEAD}"
        return Finding(Level.WARN, "database", detail, "finish the update: install the newer release on this machine")
    if state is SchemaState.UNKNOWN:
        detail = f"its schema {revision} is none that aitbc makes"
        return Finding(Level.FAIL, "database", detail, "name the right one with AITBC_DATABASE_URL or AITBC_DATA_DIR")
    return Finding(Level.FAIL, "database", f"its schema is {revision or 'empty'}", "aitbc admin migrate")


async def _peppers(settings: Settings, database: Database) -> Finding:
    async with checks.explained(database), database.read() as session:
        versions = await checks.pepper_versions(session)
    return _resting_on(
        settings,
        "API keys",
        versions,
        lost="they do not work",
        instead="regenerate the keys",
        moves="each moves to the newest when it is used",
    )


async def _passwords(settings: Settings, database: Database) -> Finding:
    async with checks.explained(database), database.read() as session:
        versions = await password_versions(session)
    return _resting_on(
        settings,
        "passwords",
        versions,
        lost="their owners cannot sign in",
        instead="let them set new ones",
        moves="each moves to the newest when its owner signs in",
    )


def _resting_on(
    settings: Settings, what: str, versions: Mapping[str, int], *, lost: str, instead: str, moves: str
) -> Finding:
    """How many of ``what`` rest on which version of the secret key."""
    try:
        secret_keys = settings.load_secret_keys() if settings.own_secret_key_file.exists() or _named(settings) else None
    except (SecretKeyError, OSError) as error:
        return Finding(Level.FAIL, what, f"the secret key cannot be used: {error}")
    known = secret_keys.versions if secret_keys else ()
    gone = sum(count for version, count in versions.items() if version not in known)
    if gone:
        detail = f"{gone} rest on a secret key that is not in force: {lost}"
        return Finding(Level.FAIL, what, detail, f"add that secret key below the new one, or {instead}")
    old = sum(count for version, count in versions.items() if version != known[0]) if known else 0
    if old:
        detail = f"{old} of {sum(versions.values())} rest on an older secret key"
        return Finding(Level.WARN, what, detail, f"{moves}; keep the old one")
    count = sum(versions.values())
    return Finding(Level.OK, what, f"all {count} rest on the newest secret key" if count else "there are none yet")


async def _clock(database: Database, clock: Clock) -> Finding:
    at = now(clock)
    async with checks.explained(database), database.read() as session:
        newest = [
            await session.scalar(select(func.max(ApiKeyRow.created_at))),
            await session.scalar(select(func.max(AuditEventRow.time))),
        ]
        theirs = None if database.is_sqlite else await session.scalar(text("SELECT clock_timestamp()"))
    known: list[Timestamp] = [time for time in newest if time is not None]
    if known and max(known) > at + _CLOCK_TOLERANCE:
        detail = f"it is {at.text()} here, but something was recorded at {max(known).text()}"
        return Finding(Level.FAIL, "clock", detail, "set the clock, and keep it in time (chrony, ntpd)")
    if theirs is not None and abs(theirs - at) > _CLOCK_TOLERANCE:
        detail = f"it differs from the database's by {abs(theirs - at).total_seconds():.0f} s"
        return Finding(Level.WARN, "clock", detail, "keep both machines in time (chrony, ntpd)")
    return Finding(Level.OK, "clock", f"it is {at.text()}")


async def _server(settings: Settings, database: Database) -> Finding:
    async with checks.explained(database):
        runs = await presence.server_runs(database, settings.data_dir)
    if not runs:
        return Finding(Level.OK, "server", "none is running")
    pid, url = folder.holder(settings.data_dir)
    address = urlsplit(url)
    if not folder.is_served(settings.data_dir) or address.hostname is None or address.port is None:
        return Finding(Level.OK, "server", "one is running, elsewhere or just starting")
    if not await is_ready(reachable_host(address.hostname), address.port):
        return Finding(Level.FAIL, "server", f"process {pid} is not ready on {url}", "see its log")
    return Finding(Level.OK, "server", f"process {pid} is ready on {url}")


async def _outbox(settings: Settings, database: Database) -> Finding:
    async with checks.explained(database), database.read() as session:
        count = await outbox.count_pending(session)
    if count and await presence.server_runs(database, settings.data_dir):
        return Finding(Level.WARN, "changes", f"{count} are not confirmed by the server", "look again in a second")
    return Finding(Level.OK, "changes", "all are in effect")


async def _dev_keys(settings: Settings, database: Database) -> Finding:
    try:
        await checks.refuse_dev_keys(database)
    except StartError as error:
        return Finding(Level.WARN, "dev keys", str(error), "`aitbc serve` refuses this database: use another folder")
    return Finding(Level.OK, "dev keys", "there are none")


def _others_may_look(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _named(settings: Settings) -> bool:
    return bool(settings.secret_key or settings.secret_key_file)
