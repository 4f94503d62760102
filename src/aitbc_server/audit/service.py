"""Writing the audit log: one row for every change, in the change's own transaction, chained to the row before."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.actor import Actor
from aitbc_server.audit import repository
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.clock import Clock, now
from aitbc_server.ids import new_id
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.wire import to_builtins

PURPOSE = "audit-v1"


class AuditLog:
    """Appends to the chain of the actor's tenant."""

    def __init__(self, secret_keys: SecretKeys, clock: Clock) -> None:
        self._keys = secret_keys
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
    ) -> None:
        """Write one event. ``target`` is (type, id); ``before`` and ``after`` hold what changed, never a secret."""
        head = await repository.lock_head(session, actor.tenant_id)
        row = AuditEventRow(
            tenant_id=actor.tenant_id,
            sequence=head.sequence + 1,
            id=new_id("evt"),
            time=now(self._clock),
            actor_type=actor.type,
            actor_id=actor.id,
            actor_name=actor.name,
            action=action,
            target_type=target[0],
            target_id=target[1],
            client_ip=actor.client_ip,
            request_id=actor.request_id,
            before=to_builtins(before),
            after=to_builtins(after),
            key_version=self._keys.newest,
        )
        row.mac = chain_mac(self._keys.derive_newest(PURPOSE), head.mac, row)
        head.sequence, head.mac = row.sequence, row.mac
        session.add(row)


def chain_mac(key: bytes, previous: bytes, row: AuditEventRow) -> bytes:
    """HMAC-SHA256(audit key, previous MAC || row), the row as JSON with its fields in a fixed order."""
    fields = [
        row.tenant_id,
        row.sequence,
        row.id,
        row.time.text(),
        row.actor_type,
        row.actor_id,
        row.actor_name,
        row.action,
        row.target_type,
        row.target_id,
        row.client_ip,
        row.request_id,
        row.before,
        row.after,
        row.key_version,
    ]
    # Sorted keys: a database may give an object's fields back in another order.
    return hmac.digest(key, previous + msgspec.json.encode(fields, order="sorted"), "sha256")
