"""Keys that were made elsewhere: they go on working here, under an id of ours, and become ours when regenerated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey, CreateApiKey
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor
from aitbc_server.api_keys import creation, permissions, repository
from aitbc_server.api_keys.credentials import issuing
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.matching import StoredSecrets, Which, matching_secret
from aitbc_server.api_keys.credentials.source import MAX_LENGTH, MIN_FOREIGN_LENGTH
from aitbc_server.api_keys.import_file import ImportedLine
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.errors import Code, DomainError, conflict, invalid
from aitbc_server.ids import key_id


class Imported(NamedTuple):
    """A key that came in, and whether it is new here: not if an earlier import brought it."""

    key: ApiKey
    is_new: bool


class RefusedImportError(Exception):
    """Nothing was imported; ``problems`` says why, by the number of the line."""

    def __init__(self, problems: dict[int, str]) -> None:
        super().__init__(f"{len(problems)} keys cannot be imported")
        self.problems = problems


class KeyImports:
    """Brings keys in; for operators, straight on the database."""

    def __init__(self, units: UnitsOfWork, digests: SecretDigests, audit: AuditLog) -> None:
        self._units = units
        self._digests = digests
        self._audit = audit

    async def import_key(
        self, actor: Actor, text: str, wanted: CreateApiKey, *, ours_too: bool = False, made_by_dev: bool = False
    ) -> Imported:
        """Let ``text`` be a key of the actor's tenant with what ``wanted`` says; again: the key as it is by now.

        ``text`` has 16 to 512 printable ASCII characters and is not of our format, unless ``ours_too`` (a key that
        an earlier data folder had) and its checksum and environment are right. Raises ``validation_error`` for any
        other text, ``conflict`` where it is already a key of another tenant or environment, or was one once.
        """
        check_text(text, permissions.environment_for(actor, wanted.environment), ours_too=ours_too)
        with _one_at_a_time():
            async with self._units.begin() as unit:
                imported = await self._import(unit, actor, text, wanted, made_by_dev=made_by_dev)
                if imported.is_new:
                    await unit.commit()
                return imported

    async def import_keys(
        self, actor: Actor, lines: Sequence[ImportedLine], problems: Mapping[int, str]
    ) -> list[Imported]:
        """Import all of the lines or none, each as ``import_key`` does, for its own tenant; in the lines' order.

        ``problems``: what is wrong with other lines of the file. Raises RefusedImportError with these and those of the
        lines that cannot be imported.
        """
        found, imported = dict(problems), []
        with _one_at_a_time():
            async with self._units.begin() as unit:
                there = await repository.plan_limits(unit.session, {line.tenant for line in lines})
                for line in lines:
                    for_tenant = msgspec.structs.replace(actor, tenant_id=line.tenant)
                    try:
                        if line.tenant not in there:
                            # It is not named: somebody may have put the key there.
                            raise invalid("tenant", "there is no such tenant")
                        check_text(line.key, line.wanted.environment)
                        imported.append(await self._import(unit, for_tenant, line.key, line.wanted))
                    except DomainError as error:
                        found[line.number] = error.detail[:1].lower() + error.detail[1:].rstrip(".")
                if found:
                    raise RefusedImportError(found)
                if any(one.is_new for one in imported):
                    await unit.commit()
        return imported

    async def _import(
        self, unit: UnitOfWork, actor: Actor, text: str, wanted: CreateApiKey, *, made_by_dev: bool = False
    ) -> Imported:
        """Bring a text that was checked in, in a unit of work that the caller commits."""
        at = now(self._units.clock)
        row = creation.new_row(actor, wanted, at)
        row.made_by_dev = made_by_dev
        parts = keyformat.parse(text)
        if parts is not None:
            row.kid = parts.kid
        known = await self._known(unit.session, row, text, at)
        if known is not None:
            return Imported(known, is_new=False)
        issuing.adopt(row, self._digests, text, at)
        return Imported(await creation.store(unit, self._audit, actor, row, (), at), is_new=True)

    async def _known(self, session: AsyncSession, wanted: ApiKeyRow, text: str, at: Timestamp) -> ApiKey | None:
        """The key that this text is already. Raises ``conflict`` where it is not the one that was asked for."""
        parts = keyformat.parse(text)
        if parts is None:
            row = await repository.get_by_lookup(session, self._digests.lookups(text))
            secret, environment = text, None
        else:
            row = await repository.get(session, parts.kid)
            secret, environment = parts.secret, parts.environment
        if row is None:
            return None
        which = matching_secret(self._digests, StoredSecrets.of(row), secret, environment)
        if environment in {None, row.environment} and not _is_in_force(row, which, at):
            raise FormerSecretError(key_id(row.kid))
        if which is None or (row.tenant_id, row.environment) != (wanted.tenant_id, wanted.environment):
            raise conflict("This key is already a key of another tenant or environment.")
        tenants = await repository.granted_tenants(session, [row.kid])
        return api_key(row, tenants.get(row.kid, ()), at)


class FormerSecretError(DomainError):
    """The text was a secret of this key once."""

    def __init__(self, key_id: str) -> None:
        super().__init__(Code.CONFLICT, f"This is a former secret of {key_id}, which was regenerated since.")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two imports of one text at the same moment: the database lets one of them in."""
    try:
        yield
    except IntegrityError as error:
        raise conflict("This key is being imported by somebody else right now.") from error


def _is_in_force(row: ApiKeyRow, which: Which | None, at: Timestamp) -> bool:
    """Whether a secret of the key still works, or would if the key did."""
    if which is Which.PREVIOUS:
        return row.previous_expires_at is not None and row.previous_expires_at > at
    return which is Which.CURRENT


def check_text(text: str, environment: Environment | None = None, *, ours_too: bool = False) -> None:
    """Raise ``validation_error`` for a text that cannot be a key of the environment, as ``import_key`` says."""
    if not MIN_FOREIGN_LENGTH <= len(text) <= MAX_LENGTH:
        raise invalid("key", f"must have {MIN_FOREIGN_LENGTH} to {MAX_LENGTH} characters")
    if not (text.isascii() and text.isprintable()):
        raise invalid("key", "must be printable ASCII")
    if text != text.strip():
        raise invalid("key", "must not begin or end with a space: no header can carry that")
    if not keyformat.has_prefix(text):
        return
    if not ours_too:
        raise invalid(
            "key", f"begins with {keyformat.PREFIX}, as our own keys do; only keys made elsewhere are imported"
        )
    parts = keyformat.parse(text)
    if parts is None:
        raise invalid("key", f"begins with {keyformat.PREFIX}, but its checksum is wrong: was it copied whole?")
    if environment is not None and parts.environment != environment:
        raise invalid("key", f"is a {parts.environment} key; it cannot become a {environment} key")
