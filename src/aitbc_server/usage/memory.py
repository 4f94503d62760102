"""Counts that are still in memory, so that every answer is exact up to the last decision."""

from __future__ import annotations

from typing import NamedTuple

from aitbc_server.gate.counter import UsageCounter
from aitbc_server.usage.repository import Selection


class Fresh(NamedTuple):
    """A count in memory: decisions of one kind on one key in the minute that starts at ``minute_ms``."""

    minute_ms: int
    kid: str
    operation: str
    outcome: str
    decisions: int


def fresh_counts(counter: UsageCounter, selection: Selection) -> tuple[list[Fresh], Selection]:
    """The selected counts that are in memory, and the selection without them for the database.

    Memory is read first, then the database: what leaves memory meanwhile is left out of the database's sums all the
    same, and what had left it before is committed there.
    """
    found = []
    held = set()
    for ledger in counter.ledgers():
        minute_ms = ledger.minute_us // 1000
        if not selection.from_ms <= minute_ms < selection.to_ms:
            continue
        held.add((ledger.source, minute_ms))
        for _, ((_, environment, kid), operation, outcome), count in ledger.of_tenant(selection.tenant_id):
            if selection.environment in {None, environment} and (selection.kids is None or kid in selection.kids):
                found.append(Fresh(minute_ms, kid, operation, outcome, count))
    return found, selection._replace(held=frozenset(held))
