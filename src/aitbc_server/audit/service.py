"""The audit log: one row for every change, in the change's own transaction, chained to the row before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc import keyformat
from aitbc.schemas.audit import AuditActor, AuditEvent, AuditTarget
from aitbc.schemas.common import Page
from aitbc_server.actor import Actor
from aitbc_server.audit import repository
from aitbc_server.audit.chain import AuditKeys, as_stored
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.repository import Filters
from aitbc_server.clock import Clock, now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import invalid, not_found
from aitbc_server.ids import new_id
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors, cut, listing
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.wire import to_builtins

#: How many events are read at once for who takes all of them along.
PORTION = 500

_ADDRESS_LENGTH = 45
_ID = re.compile(r"evt_[0-9A-Za-z]{1,36}")


class AuditLog:
    """Appends to the chain of the actor's tenant."""

    def __init__(self, secret_keys: SecretKeys, clock: Clock) -> None:
        self._keys = AuditKeys(secret_keys)
        self._clock = clock

    async def record(
        self,
        session: AsyncSession,
        actor: Actor,
        action: str,
        target: tuple[str, str],
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        environment: str | None = None,
    ) -> None:
        """Write one event. ``target`` is (type, id); ``before`` and ``after`` hold what changed, never a secret.

        ``environment`` is the target's: by default the acting key's, which reaches no other, else what ``after`` or
        ``before`` says. It is None for what concerns the whole tenant; an event about a key, job or miner that has
        none is shown to people only. Should a whole key stand in a text (somebody named a key after another), it is
        masked. Raises ValueError for what JSON does not have.
        """
        head = await repository.lock_head(session, actor.tenant_id)
        row = AuditEventRow(
            tenant_id=actor.tenant_id,
            sequence=head.sequence + 1,
            id=new_id("evt"),
            time=now(self._clock),
            actor_type=actor.type,
            actor_id=actor.id,
            actor_name=None if actor.name is None else _masked(actor.name),
            action=action,
            target_type=target[0],
            target_id=target[1],
            environment=environment or actor.environment or (after or before or {}).get("environment"),
            client_ip=None if actor.client_ip is None else actor.client_ip[:_ADDRESS_LENGTH],
            request_id=actor.request_id,
            before=_clean(as_stored(to_builtins(before))),
            after=_clean(as_stored(to_builtins(after))),
            key_version=self._keys.newest,
        )
        mac = self._keys.mac(head.mac, row)
        assert mac is not None
        row.mac = mac
        head.sequence, head.mac = row.sequence, mac
        session.add(row)


class AuditReader:
    """Shows the audit log, and writes down who takes it along."""

    def __init__(self, units: UnitsOfWork, cursors: Cursors, log: AuditLog) -> None:
        self._units = units
        self._cursors = cursors
        self._log = log

    async def list(
        self, actor: Actor, filters: Filters, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AuditEvent]:
        """The tenant's events, newest first: of the actor's environment, and of the tenant as a whole."""
        _check(filters)
        log = listing("audit", actor.tenant_id, actor.environment, *filters)
        before = None if cursor is None else int(self._cursors.decode(log, cursor)[1])
        async with self._units.read() as session:
            rows = await repository.events(
                session, actor.tenant_id, actor.environment, filters, before=before, limit=limit + 1
            )
        shown, more = cut(list(rows), limit)
        following = self._cursors.encode(log, shown[-1].time, str(shown[-1].sequence)) if more else None
        return Page[AuditEvent](items=[_event(row) for row in shown], next_cursor=following)

    async def get(self, actor: Actor, event_id: str) -> AuditEvent:
        """One event, for people, who see both environments. Raises ``not_found``."""
        if actor.environment is not None or not _ID.fullmatch(event_id):
            raise not_found()
        async with self._units.read() as session:
            row = await repository.event(session, actor.tenant_id, event_id)
        if row is None:
            raise not_found()
        return _event(row)

    async def portions(self, actor: Actor, filters: Filters) -> AsyncIterator[Sequence[AuditEvent]]:
        """Everything that ``list`` would show page by page, for who takes all of it along.

        Between two portions nothing is held, so that a slow reader is in nobody's way. What is recorded in the
        meantime is not among it.
        """
        _check(filters)
        before: int | None = None
        while True:
            async with self._units.read() as session:
                rows = await repository.events(
                    session, actor.tenant_id, actor.environment, filters, before=before, limit=PORTION
                )
            if rows:
                before = rows[-1].sequence
                yield [_event(row) for row in rows]
            if len(rows) < PORTION:
                return

    async def record_export(self, actor: Actor, filters: Filters, form: str) -> None:
        """Record that the actor takes the events that ``filters`` choose along, as a file of this form."""
        chosen = {name.rstrip("_"): value for name, value in filters._asdict().items() if value is not None}
        async with self._units.begin() as unit:
            await self._log.record(
                unit.session,
                actor,
                "audit_log.exported",
                ("audit_log", actor.tenant_id),
                after={"format": form, **chosen},
            )
            await unit.commit()


def _check(filters: Filters) -> None:
    if filters.from_ is not None and filters.to is not None and filters.from_ >= filters.to:
        raise invalid("from", "expected a time before `to`")


def _event(row: AuditEventRow) -> AuditEvent:
    return AuditEvent(
        id=row.id,
        time=row.time,
        actor=AuditActor(type=row.actor_type, id=row.actor_id, name=row.actor_name),
        action=row.action,
        target=AuditTarget(type=row.target_type, id=row.target_id),
        client_ip=row.client_ip,
        request_id=row.request_id,
        before=row.before,
        after=row.after,
    )


def _clean(value: Any) -> Any:
    """JSON with every whole key in its texts masked."""
    if isinstance(value, str):
        return _masked(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_masked(name): _clean(each) for name, each in value.items()}
    return value


def _masked(text: str) -> str:
    """``text`` with every whole key in it masked."""
    for start, end in reversed(list(keyformat.scan(text))):
        parts = keyformat.parse(text[start:end])
        assert parts is not None
        text = text[:start] + keyformat.mask(parts.environment, parts.kid, text[end - 4 : end]) + text[end:]
    return text
