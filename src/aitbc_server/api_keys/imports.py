"""Keys that were made elsewhere: they go on working here, under an id of ours, and become ours when regenerated."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey, CreateApiKey
from aitbc_server.actor import Actor
from aitbc_server.api_keys import creation, repository
from aitbc_server.api_keys.credentials import issuing
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.matching import StoredSecrets, matching_secret
from aitbc_server.api_keys.credentials.source import MAX_LENGTH, MIN_FOREIGN_LENGTH
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import conflict, invalid


class Imported(NamedTuple):
    """A key that came in, and whether it is new here: not if an earlier import brought it."""

    key: ApiKey
    is_new: bool


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
        other text, ``conflict`` where it is already a key of another tenant or environment.
        """
        _check_text(text, ours_too=ours_too)
        at = now(self._units.clock)
        row = creation.new_row(actor, wanted, at)
        row.made_by_dev = made_by_dev
        parts = keyformat.parse(text)
        if parts is not None:
            if parts.environment != row.environment:
                raise invalid("key", f"is a {parts.environment} key; it cannot become a {row.environment} key")
            row.kid = parts.kid
        try:
            async with self._units.begin() as unit:
                known = await self._known(unit.session, row, text, at)
                if known is not None:
                    return Imported(known, is_new=False)
                issuing.adopt(row, self._digests, text, at)
                key = await creation.store(unit, self._audit, actor, row, (), at)
                await unit.commit()
                return Imported(key, is_new=True)
        except IntegrityError as error:
            # Two imports of one text at the same moment: the database lets one of them in.
            raise conflict("This key is being imported by somebody else right now.") from error

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
        right = matching_secret(self._digests, StoredSecrets.of(row), secret, environment) is not None
        if not right or (row.tenant_id, row.environment) != (wanted.tenant_id, wanted.environment):
            raise conflict("This key is already a key of another tenant or environment.")
        tenants = await repository.granted_tenants(session, [row.kid])
        return api_key(row, tenants.get(row.kid, ()), at)


def _check_text(text: str, *, ours_too: bool) -> None:
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
    if keyformat.parse(text) is None:
        raise invalid("key", f"begins with {keyformat.PREFIX}, but its checksum is wrong: was it copied whole?")
