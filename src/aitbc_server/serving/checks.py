"""What must hold before a server starts or an operator's command runs: each fault is one clear line."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.db import migrate
from aitbc_server.db.addresses import shown
from aitbc_server.db.engine import Database
from aitbc_server.db.installation_id import installation_id
from aitbc_server.db.migrate import SchemaState
from aitbc_server.ids import key_id
from aitbc_server.secret_keys import SecretKeyError, SecretKeys
from aitbc_server.serving.errors import StartError
from aitbc_server.settings import SettingError, Settings, reason

logger = logging.getLogger(__name__)

_MIGRATE = "aitbc admin migrate"
_SHOWN = 5
_NAMED = "AITBC_DATABASE_URL, postgresql://user:password@host:port/database"
# By PostgreSQL's code of the error.
_REMEDIES = {
    "3D000": f"make it with `createdb`, or name the right one in {_NAMED}",
    "28000": f"make the role with `createuser`, let it in (pg_hba.conf), or name the right one in {_NAMED}",
    "28P01": f"see the user and the password in {_NAMED}",
}


@asynccontextmanager
async def explained(database: Database) -> AsyncIterator[None]:
    """Turn a database that does not answer, or is none, into StartError."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        name = database.url.database if database.is_sqlite else shown(database.url)
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        # The driver's adapter puts its class before the server's own words.
        said = f"the database {name} cannot be used: {lines[0].rpartition('>: ')[2]}"
        raise StartError(said, hint=None if database.is_sqlite else _remedy(cause)) from error


def _remedy(cause: BaseException) -> str | None:
    """What to do about a PostgreSQL that cannot be reached."""
    if isinstance(cause, socket.gaierror):
        return f"no machine is known by the name of the host in {_NAMED}"
    # A plain OSError is what becomes of several addresses of a host, of which none answers.
    if type(cause) is OSError or isinstance(cause, (ConnectionRefusedError, FileNotFoundError, TimeoutError)):
        return f"start PostgreSQL there, or name its right host and port in {_NAMED}"
    return _REMEDIES.get(str(getattr(cause, "sqlstate", "")))


async def ensure_schema(database: Database, *, may_migrate: bool, may_be_newer: bool = False) -> None:
    """The schema is this code's afterwards, or with ``may_be_newer`` a later release's.

    Raises StartError where that takes a person.
    """
    async with explained(database):
        state = await migrate.schema_state(database)
        if state is SchemaState.CURRENT or (may_be_newer and state is SchemaState.NEWER):
            return
        if state in {SchemaState.NEWER, SchemaState.UNKNOWN}:
            revision = await migrate.current_revision(database)
            if state is SchemaState.UNKNOWN:
                raise StartError(
                    f"the database's schema ({revision}) is none that aitbc makes",
                    hint="AITBC_DATABASE_URL and AITBC_DATA_DIR say which database is used",
                )
            raise StartError(
                f"the database's schema ({revision}) is newer than this release ({migrate.HEAD})",
                hint="use a newer release of aitbc",
            )
        if not may_migrate:
            what = "has no schema yet" if state is SchemaState.EMPTY else "has the schema of an older release"
            raise StartError(f"the database {what}", hint=_MIGRATE)
        await migrate.upgrade(database)
        logger.info("the database's schema was brought to version %s", migrate.HEAD)


async def load_secret_keys(settings: Settings, database: Database) -> SecretKeys:
    """The secret keys that the database's API keys were made under. Raises StartError.

    A secret key that is lost must not be replaced by a fresh one in silence: every API key would stop working.
    """
    async with explained(database), database.read() as session:
        versions = await pepper_versions(session)
    named = settings.secret_key or settings.secret_key_file
    if not named and versions and not settings.own_secret_key_file.exists():
        raise StartError(
            f"the secret key {settings.own_secret_key_file} is missing, and the database holds API keys made under it",
            hint="restore the file, or name the key with AITBC_SECRET_KEY_FILE",
        )
    ensure_named_secret_key(settings)
    try:
        secret_keys = settings.load_secret_keys()
    except (SecretKeyError, OSError, UnicodeDecodeError) as error:
        raise StartError(
            f"the secret key {settings.own_secret_key_file} cannot be used: {reason(error)}",
            hint="restore the file, or name the key with AITBC_SECRET_KEY_FILE",
        ) from error
    if versions and not versions.keys() & set(secret_keys.versions):
        raise StartError(
            "the secret key is not the one that this database's API keys were made under",
            hint="AITBC_SECRET_KEY_FILE and AITBC_SECRET_KEY may hold several, newest first: add the old one",
        )
    return secret_keys


async def installation(database: Database) -> str:
    """Which installation the database is. Raises StartError."""
    async with explained(database):
        return await installation_id(database)


def ensure_named_secret_key(settings: Settings) -> None:
    """Raise SettingError where AITBC_SECRET_KEY_FILE names a file that cannot be used."""
    if settings.secret_key or settings.secret_key_file is None:
        return
    try:
        SecretKeys.parse(settings.secret_key_file.read_text(encoding="utf-8"))
    except (SecretKeyError, OSError, UnicodeDecodeError) as error:
        # A decoder's own words would show bytes of the file.
        why = "it is no text" if isinstance(error, UnicodeDecodeError) else reason(error)
        expected = "expected a file with secret keys of 32 characters or more, one a line"
        raise SettingError(
            [f"AITBC_SECRET_KEY_FILE: {expected}; got {str(settings.secret_key_file)!r}: {why}"]
        ) from error


async def pepper_versions(session: AsyncSession) -> dict[str, int]:
    """How many keys that are not revoked were made under which version of the secret key."""
    statement = (
        select(ApiKeyRow.pepper_version, func.count())
        .where(ApiKeyRow.revoked_at.is_(None))
        .group_by(ApiKeyRow.pepper_version)
    )
    return dict((await session.execute(statement)).all())


async def refuse_dev_keys(database: Database) -> None:
    """A server for real never answers to keys whose text stands in a file of a developer's folder."""
    async with explained(database), database.read() as session:
        statement = (
            select(ApiKeyRow.kid)
            .where(ApiKeyRow.made_by_dev.is_(True), ApiKeyRow.revoked_at.is_(None))
            .order_by(ApiKeyRow.created_at)
        )
        kids: Sequence[str] = (await session.scalars(statement)).all()
    if kids:
        shown = ", ".join(key_id(kid) for kid in kids[:_SHOWN]) + (", ..." if len(kids) > _SHOWN else "")
        raise StartError(
            f"this database holds keys that `aitbc dev` made: {shown}",
            hint="name another folder with AITBC_DATA_DIR, or start `aitbc dev` and revoke them first",
        )
