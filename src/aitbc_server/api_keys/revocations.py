"""What was revoked, kept beside the database: a backup that is restored must not revive a revoked key.

Each node appends the keys that it ended to a file in its data folder, before it answers. A server that starts, or
notices while it runs that the database was replaced, ends them again where the database does not know of it: it was put
back to a time before.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from aitbc import keyformat
from aitbc_server.actor import Actor
from aitbc_server.api_keys import repository
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.ids import key_id
from aitbc_server.portions import portions

logger = logging.getLogger(__name__)

_NAME = "revoked.keys"
_PORTION = 500


class RevocationFile:
    """Appends the kids of keys that ended, one a line."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _NAME

    async def note(self, kids: Collection[str]) -> None:
        """On the disk when it returns. A disk that is full takes nobody's revocation back: it is logged."""
        try:
            # Whoever hangs up meanwhile leaves no half of it.
            await asyncio.shield(asyncio.to_thread(self._append, kids))
        except OSError as error:
            logger.error("%s cannot be written: a restored backup would revive %s: %s", self._path, kids, error)

    def _append(self, kids: Collection[str]) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # What a crash cut off before stays a line of its own.
            os.write(file, "".join(f"\n{kid}\n" for kid in sorted(kids)).encode())
            os.fsync(file)
        finally:
            os.close(file)


async def revoke_again(units: UnitsOfWork, audit: AuditLog, data_dir: Path) -> int:
    """End what the folder's files say was ended, where it is not; how many keys.

    The files of the folder's workers count too; for a worker, those of the whole installation.
    """
    revoked = 0
    for kids in _portions(data_dir):
        # Looks before it writes: almost always there is nothing to do.
        async with units.read() as session:
            alive = await repository.not_revoked(session, kids)
        if alive:
            async with units.begin() as unit:
                for kid in alive:
                    await _revoke(unit, audit, kid, now(units.clock))
                await unit.commit()
            revoked += len(alive)
    if revoked:
        logger.warning("the database is older than this folder: keys that are revoked again: %d", revoked)
    return revoked


async def _revoke(unit: UnitOfWork, audit: AuditLog, kid: str, at: Timestamp) -> None:
    row = await repository.get(unit.session, kid, for_update=True)
    if row is None or row.revoked_at is not None:
        return
    row.revoked_at = at
    actor = Actor(type="system", id=None, name="restored database", tenant_id=row.tenant_id, scopes=frozenset())
    target = ("api_key", key_id(kid))
    after = {"status": "revoked"}
    await audit.record(unit.session, actor, "api_key.revoked", target, after=after, environment=row.environment)
    unit.makes_stale(row.tenant_id)


def _portions(data_dir: Path) -> Iterator[list[str]]:
    if data_dir.parent.name == "workers" and data_dir.name.isdigit():
        # What a worker wrote that is no longer there is nobody's else to read.
        data_dir = data_dir.parent.parent
    for path in sorted([data_dir / _NAME, *data_dir.glob(f"workers/*/{_NAME}")]):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as lines:
                kids = (line.strip() for line in lines)
                for portion in portions(kids, _PORTION):
                    # A line that a crash cut off names no key.
                    yield [kid for kid in portion if kid.isalnum() and len(kid) == keyformat.KID_LENGTH]
