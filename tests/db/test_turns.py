"""Work of which there is much takes turns at the database, and other work gets in between."""

from __future__ import annotations

import asyncio

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork


async def test_other_work_waits_behind_a_few_transactions_at_most(database: Database) -> None:
    """A hundred writes and a hundred reads that came earlier do not stand in front of one that takes no turns."""
    units = UnitsOfWork(database, LocalFences(lambda _: None), system_clock)
    crowd = units.in_turns()
    done = {"reads": 0, "writes": 0}
    begun = asyncio.Event()

    async def write() -> None:
        async with crowd.begin() as unit:
            begun.set()
            await asyncio.sleep(0.005)
            await unit.commit()
        done["writes"] += 1

    async def read() -> None:
        async with crowd.read():
            await asyncio.sleep(0.005)
        done["reads"] += 1

    works = [asyncio.create_task(each()) for _ in range(100) for each in (write, read)]
    await begun.wait()
    async with units.begin() as unit:
        await unit.commit()
    assert done["writes"] <= 10
    async with units.read():
        pass
    assert done["reads"] <= 20
    await asyncio.gather(*works)
    assert done == {"reads": 100, "writes": 100}


async def test_a_turn_is_given_back_whatever_happens(database: Database) -> None:
    """Failures and clients that hang up leave the way free."""
    crowd = UnitsOfWork(database, LocalFences(lambda _: None), system_clock).in_turns()

    async def fails() -> None:
        async with crowd.begin():
            await asyncio.sleep(0.001)
            raise ValueError

    async def hangs() -> None:
        async with crowd.read():
            await asyncio.sleep(60)

    failures = await asyncio.gather(*(fails() for _ in range(10)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {ValueError}
    hanging = [asyncio.create_task(hangs()) for _ in range(10)]
    await asyncio.sleep(0.1)
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    async with asyncio.timeout(5), crowd.begin():
        pass
    async with asyncio.timeout(5), crowd.read():
        pass
