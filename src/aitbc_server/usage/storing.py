"""Into the table of minutes, from wherever counts come: rows of one form, in transactions of one size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aitbc_server.clock import Timestamp
from aitbc_server.db.engine import Database
from aitbc_server.portions import portions
from aitbc_server.usage import repository

# Other writers get their turn between transactions of this size.
_ROWS_A_TRANSACTION = 500


async def store(database: Database, rows: Iterable[dict[str, Any]]) -> None:
    """Store these rows, so far as they raise what is there."""
    for portion in portions(rows, _ROWS_A_TRANSACTION):
        async with database.write() as session:
            await repository.raise_counts(session, portion)
            await session.commit()


def minute_row(
    source: str, minute: Timestamp, tenant_id: str, environment: str, kid: str, operation: str, outcome: str, count: int
) -> dict[str, Any]:
    """A count as ``UsageMinuteRow`` has it."""
    return {
        "tenant_id": tenant_id,
        "environment": environment,
        "minute": minute,
        "kid": kid,
        "outcome": outcome,
        "operation": operation,
        "source": source,
        "count": count,
    }
