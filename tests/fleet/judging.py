"""Judges of what a fleet did: whether limits were exact, and whether everything was counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg  # type: ignore[import-untyped]
from tests.fleet.plugins import DECISIONS

#: The clock of a virtual machine is set back by a little now and then. A tenant's time stands still meanwhile, and what
#: is noted here is the clock's: so much may lie between them.
STEP_US = 2_000


class Decided(NamedTuple):
    """One decision on a tenant's limit, as the deciding node wrote it down."""

    node: str
    how: str
    tenant_id: str
    at_us: int
    allowed: bool
    retry_us: int
    cost: int
    remaining: int


def decisions(folders: Iterable[Path]) -> list[Decided]:
    """What nodes with ``record_decisions`` wrote into their data folders, in the order of time."""
    found = []
    for folder in folders:
        for line in (folder / DECISIONS).read_text().splitlines():
            how, tenant_id, at_us, allowed, *numbers = line.split()
            retry_us, cost, remaining = map(int, numbers)
            found.append(Decided(folder.name, how, tenant_id, int(at_us), allowed == "1", retry_us, cost, remaining))
    return sorted(found, key=lambda each: each.at_us)


def over(times_us: Sequence[int], limit: int, window_us: int) -> list[tuple[int, int]]:
    """Windows (t - window, t] that hold more than ``limit`` of these moments: (t, by how many)."""
    found = []
    for index, at_us in enumerate(times_us):
        held = index + 1 - bisect_right(times_us, at_us - window_us + STEP_US)
        if held > limit:
            found.append((at_us, held - limit))
    return found


def undue(decided: Sequence[Decided], limit: int, window_us: int) -> list[Decided]:
    """Refusals (of requests that cost 1) at a moment whose window was not full, or that named another time than the
    one at which there was room again."""
    allowed_us = [each.at_us for each in decided if each.allowed and each.cost]
    found = []
    for each in decided:
        if each.allowed or not each.cost:
            continue
        # Whose leaving makes room, as the answer says; that and all after it must have filled the window.
        leaves_us = each.at_us + each.retry_us - window_us
        leaving = range(bisect_left(allowed_us, leaves_us - STEP_US), bisect_right(allowed_us, leaves_us + STEP_US))
        before, after = bisect_right(allowed_us, each.at_us), bisect_right(allowed_us, each.at_us + STEP_US)
        if not any(before <= index + limit <= after for index in leaving):
            found.append(each)
    return found


def since(decided: Sequence[Decided], at_us: int) -> Sequence[Decided]:
    """Those from a moment on."""
    return decided[bisect_left([each.at_us for each in decided], at_us) :]


async def counted(postgres_url: str, tenant_id: str, key: str = "") -> Counter[str]:
    """The tenant's usage by outcome, as the database has it now; of one key where its text is given."""
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(
            "SELECT outcome, sum(count)::bigint AS total FROM usage_minutes "
            "WHERE tenant_id = $1 AND (kid = $2 OR $2 = '') GROUP BY outcome",
            tenant_id,
            key.split("_")[2][:12] if key else "",
        )
    finally:
        await connection.close()
    return Counter({row["outcome"]: int(row["total"]) for row in rows})
