"""Work that is done again and again: what fails is said once, and tried again."""

from __future__ import annotations

import asyncio

import pytest

from aitbc_server.periodic import repeating


@pytest.mark.parametrize("expected", [(), (ConnectionError,)])
async def test_a_failure_is_said_once_and_the_place_in_the_code_only_of_what_nobody_expected(
    caplog: pytest.LogCaptureFixture, expected: tuple[type[Exception], ...]
) -> None:
    """A store that is away is nothing to look for in the code."""
    runs = 0
    done = asyncio.Event()

    async def step() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            done.set()
        raise ConnectionError("the store is away")

    async with repeating(step, interval_s=0.01, name="asking", expected=expected):
        await asyncio.wait_for(done.wait(), 5)
    [record] = caplog.records
    assert record.getMessage().startswith("asking ")
    assert (record.exc_info is None) is bool(expected)
    assert ("the store is away" in record.getMessage()) is bool(expected)
