"""Checking the audit log: every chain from its first row to its head, and against heads that were kept elsewhere.

What the chain alone shows: a row that was edited, removed, inserted or moved. What it cannot show: whoever can write
the database can cut the newest rows off and set the head back to the row that is then the last. A head that was
exported before shows that too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.audit import repository
from aitbc_server.audit.chain import START, AuditKeys
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.validation import BODY, field_error

_BATCH = 500

# What comes of a value that the server never writes, such as broken JSON or text in place of a number.
_UNREADABLE = (AttributeError, OverflowError, RecursionError, TypeError, ValueError)


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a tenant's chain: how many events it has, and the MAC of the last one, in hex."""

    sequence: int
    mac: str


Heads = Mapping[str, Head]


class Fault(StrEnum):
    """What is wrong with a chain."""

    CHANGED = "changed"
    MISSING = "missing"
    CUT = "cut"
    HEAD = "head"
    UNKNOWN_KEY = "unknown_key"


class Finding(msgspec.Struct, frozen=True):
    """The first place where a chain is not as it was written. ``event_id`` is None where no row is left to name."""

    tenant_id: str
    fault: Fault
    sequence: int
    event_id: str | None
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What was checked, what was found, and the heads to keep: of chains without a finding only."""

    tenants: int
    events: int
    findings: list[Finding]
    heads: dict[str, Head]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.findings


async def verify(
    session: AsyncSession, secret_keys: SecretKeys, *, tenant_id: str | None = None, heads: Heads | None = None
) -> Report:
    """Walk the chains of all tenants, or of one; ``heads`` are exported ones (see ``read_heads``).

    The session must be fresh: everything is read from one snapshot, so that a running server may go on writing.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    kept = dict(heads or {})
    names = {tenant_id} if tenant_id is not None else await repository.tenants(session) | set(kept)
    keys = AuditKeys(secret_keys)
    walks = [_Walk(name, keys, kept.get(name)) for name in sorted(names)]
    for walk in walks:
        await walk.run(session)
    return Report(
        tenants=len(walks),
        events=sum(walk.events for walk in walks),
        findings=[finding for walk in walks for finding in walk.findings],
        heads={walk.tenant_id: Head(walk.sequence, walk.mac.hex()) for walk in walks if not walk.findings},
    )


def write_heads(heads: Heads) -> str:
    """Heads as JSON text: ``{tenant: {"sequence": 3, "mac": "..."}}``."""
    return msgspec.json.format(msgspec.json.encode(heads, order="sorted")).decode() + "\n"


def read_heads(text: str) -> dict[str, Head]:
    """Heads from such text. Raises ValueError that says what is wrong with it."""
    try:
        return msgspec.json.decode(text, type=dict[str, Head])
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), dict[str, Head])
        what = f"{wrong.field} {wrong.message}"
        if wrong.field == BODY:
            what = "it must be an object that has an object with sequence and mac for each tenant"
        raise ValueError(f"this is no file of audit heads: {what}") from error
    except msgspec.DecodeError as error:
        raise ValueError("this is no file of audit heads: it is not JSON") from error


class _Walk:
    """One chain, row by row; stops at the first row that is not as it was written."""

    def __init__(self, tenant_id: str, keys: AuditKeys, exported: Head | None) -> None:
        self.tenant_id = tenant_id
        self.findings: list[Finding] = []
        self.events = 0
        self.sequence = 0
        self.mac = START
        self._keys = keys
        self._exported = exported
        self._unknown_versions: set[str] = set()

    async def run(self, session: AsyncSession) -> None:
        try:
            async for row in _rows(session, self.tenant_id):
                if not self._row_is_right(row):
                    return
                self.events += 1
                self.sequence, self.mac = row.sequence, row.mac
        except _UNREADABLE:
            await self._found_unreadable(session)
            return
        await self._check_head(session)
        if self._exported is not None and self._exported.sequence > self.sequence:
            self._found(
                Fault.CUT,
                self.sequence + 1,
                None,
                f"the exported head is event {self._exported.sequence}, but the log ends with event {self.sequence}: "
                "the newest events were removed",
            )

    def _row_is_right(self, row: AuditEventRow) -> bool:
        if row.sequence > self.sequence + 1:
            detail = f"event {self.sequence + 1} was removed: event {row.sequence} comes next"
            self._found(Fault.MISSING, self.sequence + 1, None, detail)
            return False
        mac = self._keys.mac(self.mac, row) if row.sequence == self.sequence + 1 else b""
        if mac is None:
            self._note_unknown_version(row)
        elif mac != row.mac:
            self._found(Fault.CHANGED, row.sequence, row.id, "this event was edited, inserted or moved")
            return False
        exported = self._exported
        if exported is not None and exported.sequence == row.sequence and exported.mac != row.mac.hex():
            detail = "this is another event than the exported head names: the log was written anew up to here"
            self._found(Fault.CHANGED, row.sequence, row.id, detail)
            return False
        return True

    async def _found_unreadable(self, session: AsyncSession) -> None:
        names = await repository.names(session, self.tenant_id, after=self.sequence, limit=1)
        sequence, event_id = names[0] if names else (self.sequence + 1, None)
        self._found(Fault.CHANGED, sequence, event_id, "this event was edited: it cannot even be read")

    async def _check_head(self, session: AsyncSession) -> None:
        head = await repository.head(session, self.tenant_id)
        sequence, mac = (0, START) if head is None else (head.sequence, head.mac)
        if sequence > self.sequence:
            detail = f"the newest events, up to event {sequence}, were removed"
            self._found(Fault.CUT, self.sequence + 1, None, detail)
        elif (sequence, mac) != (self.sequence, self.mac):
            detail = f"the head of the log says event {sequence}, but the log ends with event {self.sequence}"
            if sequence == self.sequence:
                detail = "the head of the log does not fit its last event"
            self._found(Fault.HEAD, self.sequence, None, detail)

    def _note_unknown_version(self, row: AuditEventRow) -> None:
        # What follows can still be checked: the next row's MAC covers this one's.
        if row.key_version not in self._unknown_versions:
            self._unknown_versions.add(row.key_version)
            detail = (
                f"this event and maybe others cannot be checked: they were written under the secret key version "
                f"{row.key_version}, which is not among the secret keys in force"
            )
            self._found(Fault.UNKNOWN_KEY, row.sequence, row.id, detail)

    def _found(self, fault: Fault, sequence: int, event_id: str | None, detail: str) -> None:
        self.findings.append(Finding(self.tenant_id, fault, sequence, event_id, detail))


async def _rows(session: AsyncSession, tenant_id: str) -> AsyncIterator[AuditEventRow]:
    after: int | None = None
    limit = _BATCH
    while True:
        try:
            rows = await repository.chain(session, tenant_id, after=after, limit=limit)
        except _UNREADABLE:
            if limit == 1:
                raise
            # One of these rows: those before it are read one by one.
            limit = 1
            continue
        if not rows:
            return
        for row in rows:
            yield row
        after = rows[-1].sequence
        # A log may be larger than the memory.
        session.expunge_all()
