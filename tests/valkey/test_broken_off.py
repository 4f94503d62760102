"""A call that breaks off, as in a slot that moves key by key, leaves nothing that a later call counts."""

from __future__ import annotations

import struct
from collections import deque

import pytest
from tests.gate.factories import tenant
from tests.gate.valkey_under_test import valkey_under_test
from tests.support.valkey import ValkeyProcess

from aitbc_server.gate.records import limit_set
from aitbc_server.gate.store import ALLOWED
from aitbc_server.gate.store_valkey import state_key
from aitbc_server.valkey.connection import connect

LIMIT = 60
WINDOW_US = 60_000_000


@pytest.mark.parametrize("broken_at", [3, 50])
async def test_a_piece_that_nobody_counted_is_dropped(valkey: ValkeyProcess, broken_at: int) -> None:
    """Whether the list had pieces before or not: the limit is exact in every window."""
    limits = limit_set(tenant(limit=LIMIT), "kid", None)
    taken: deque[int] = deque()
    async with valkey_under_test(valkey.address) as store:
        connection = await connect(valkey.address, timeout_s=5)
        try:
            for number in range(400):
                store.clock.step(0.7)
                if number == broken_at:
                    piece = struct.pack("<dI", store.clock.now_us, 1) * 16
                    await connection.call("RPUSH", f"{state_key('alice')}:sealed", piece)
                answer = await store.take("alice", limits, 1, ("alice", "live", "kid"), "op", ALLOWED)
                while taken and taken[0] <= store.clock.now_us - WINDOW_US:
                    taken.popleft()
                assert answer.allowed == (len(taken) < LIMIT), number
                if answer.allowed:
                    taken.append(store.clock.now_us)
        finally:
            connection.close()
            await connection.lost
