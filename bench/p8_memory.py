"""P8: what a cached key record and its full window cost in memory, at plan free."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.common.goals import Goal
from bench.common.options import Options
from bench.common.results import Outcome, Round

if TYPE_CHECKING:
    from bench.common.gate import Parts

GOALS = (Goal("P8", "memory of a cached key record and its full window at plan free", "<=", 2048, "bytes"),)

# Loaded first and not counted: what is made once (compiled queries, connections) is no key's.
_WARM_UP_KEYS = 200
# More keys give the same figure to the byte, and tracing makes them slow.
_MAX_KEYS = 2_000
_FREE_LIMIT = 60
# The allocator hands out multiples of 16 bytes: half a step is lost on an average block.
_LOST_A_BLOCK = 8


def measure(options: Options) -> list[Outcome]:
    """Bytes for each key, each of a tenant of its own: records read from a database, windows of 60 entries.

    Counted are Python's allocations that live on (tracemalloc), and for each block what rounding to the
    allocator's step takes on average.
    """
    from bench.seed import seed

    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
        data = Path(temporary) / "data"
        counted = min(options.tenants, _MAX_KEYS)
        keys = [one.key.encode() for one in seed(data, _WARM_UP_KEYS + counted, plan="free")]
        taken = asyncio.run(_bytes_a_key(data, keys))
    return [Outcome(GOALS[0], taken["bytes_a_key"], [taken])]


async def _bytes_a_key(data: Path, keys: Sequence[bytes]) -> Round:
    from bench.common.gate import gate_over

    async with gate_over(data) as parts:
        await _use_up(parts, keys[:_WARM_UP_KEYS])
        counted = keys[_WARM_UP_KEYS:]
        tracemalloc.start()
        try:
            blocks_before, bytes_before = _allocated()
            await _use_up(parts, counted)
            blocks, traced = (
                after - before for after, before in zip(_allocated(), (blocks_before, bytes_before), strict=True)
            )
        finally:
            tracemalloc.stop()
    return {
        "keys": len(counted),
        "traced_bytes_a_key": round(traced / len(counted), 1),
        "blocks_a_key": round(blocks / len(counted), 1),
        "bytes_a_key": round((traced + blocks * _LOST_A_BLOCK) / len(counted), 1),
    }


def _allocated() -> tuple[int, int]:
    gc.collect()
    return sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0]


async def _use_up(parts: Parts, keys: Sequence[bytes]) -> None:
    """Load each key and fill its tenant's window."""
    for key in keys:
        ticket = parts.cache.begin_load()
        credential = await parts.source.load(key)
        assert credential is not None
        parts.cache.put(parts.cache.digest(key), credential, ticket)
        parts.cache.end_load()
        record = credential.record
        for _ in range(_FREE_LIMIT):
            taken = await parts.store.take(record.tenant.id, record.limit_set, 1, record.usage_id, "bench", "allowed")
            assert taken.allowed
    # The counts are in the database within a minute, and no part of what a key costs.
    for ledger in parts.counter.ledgers():
        parts.counter.forget(ledger, ledger.total)
