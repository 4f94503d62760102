"""An audit log over each database, and somebody who changes things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aitbc_server.actor import Actor, operator
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import US_PER_S
from aitbc_server.db.engine import Database
from aitbc_server.secret_keys import SecretKeys

#: 2026-11-24T05:46:30Z
START_US = 1_795_499_190 * US_PER_S

Record = Callable[..., Awaitable[None]]


@pytest.fixture
def secret_keys() -> SecretKeys:
    """The installation's secret keys."""
    return SecretKeys([b"0123456789abcdef0123456789abcdef"])


@pytest.fixture
def record(database: Database, secret_keys: SecretKeys) -> Record:
    """Records one event and commits; each is a second later than the one before."""
    now_us = START_US

    def clock() -> int:
        nonlocal now_us
        now_us += US_PER_S
        return now_us

    log = AuditLog(secret_keys, clock)

    async def record(
        tenant_id: str = "acme", number: int = 0, *, actor: Actor | None = None, log: AuditLog = log, **fields: Any
    ) -> None:
        target = fields.pop("target", ("api_key", f"key_{number:012}"))
        async with database.write() as session:
            await log.record(
                session, actor or operator("test", tenant_id), fields.pop("action", "api_key.created"), target, **fields
            )
            await session.commit()

    return record
