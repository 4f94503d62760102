"""Whether the PostgreSQL that nodes share is one that they can work with; a file of SQLite always is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from sqlalchemy import text

from aitbc_server.db.engine import Database
from aitbc_server.serving import checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.settings import Settings

#: The oldest that all tests pass on.
OLDEST = 14
# Beside those for requests a process has one that holds the database for it and, at times, one that looks after usage;
# in a fleet it has one more, on which nodes hear of one another.
_OWN, _OWN_IN_FLEET = 2, 3

# What a release does not know of is not there.
_FACTS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'max_connections',"
    " 'superuser_reserved_connections', 'reserved_connections')"
)


async def ensure_fit(database: Database) -> None:
    """Refuse a PostgreSQL that is too old. Raises StartError."""
    if database.is_sqlite:
        return
    finding = version(await _facts(database))
    if finding.level is Level.FAIL:
        raise StartError(f"the database cannot be used: {finding.detail}", hint=finding.remedy)


async def examine(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """What there is to say of PostgreSQL itself. Raises StartError where it does not answer."""
    if database.is_sqlite:
        return
    facts = await _facts(database)
    yield version(facts)
    yield connections(facts, settings)


def version(facts: Mapping[str, str]) -> Finding:
    """Whether it is new enough."""
    name = f"PostgreSQL {facts['server_version']}"
    if int(facts["server_version_num"]) // 10_000 < OLDEST:
        return Finding(Level.FAIL, "PostgreSQL", f"{name} is too old", f"use PostgreSQL {OLDEST} or newer")
    return Finding(Level.OK, "PostgreSQL", f"it is {name}")


def connections(facts: Mapping[str, str], settings: Settings) -> Finding:
    """Whether it has room for all connections of this node. How many other nodes there are, nobody knows."""
    what = "connections"
    own = _OWN_IN_FLEET if settings.valkey_url else _OWN
    takes = settings.workers * (settings.database_connections + own)
    reserved = int(facts["superuser_reserved_connections"]) + int(facts.get("reserved_connections", 0))
    room = int(facts["max_connections"]) - reserved
    detail = f"this node takes up to {takes} of the {room} that PostgreSQL has for all nodes"
    if takes > room:
        remedy = "raise max_connections of PostgreSQL, or set AITBC_DATABASE_CONNECTIONS or AITBC_WORKERS lower"
        return Finding(Level.WARN, what, detail, remedy)
    return Finding(Level.OK, what, detail)


async def _facts(database: Database) -> dict[str, str]:
    async with checks.explained(database), database.read() as session:
        return dict((await session.execute(_FACTS)).all())
