"""Who waits for the store is told once what became of their request, whatever comes first."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from aitbc_server.gate.batch import Tell, Waiting, answer_to
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken

TAKEN = Taken(True, (), 0)


def waiting() -> tuple[Waiting, list[Taken | Stale | StoreUnavailableError]]:
    heard: list[Taken | Stale | StoreUnavailableError] = []
    return Waiting(heard.append, (), 0), heard


async def test_an_answer_is_told_once() -> None:
    """Also where the time is over, or the connection lost, in the same turn."""
    one, heard = waiting()
    one.give_up_at(time.monotonic() + 0.01)
    one.answer(TAKEN, counted=True)
    one.give_up("too late")
    one.fail("lost")
    await asyncio.sleep(0.03)
    assert heard == [TAKEN]
    assert one.counted is None


@pytest.mark.parametrize("counted", [True, False])
async def test_who_was_given_up_learns_whether_it_was_counted(counted: bool) -> None:
    """The answer that comes after all tells it, and nothing else."""
    one, heard = waiting()
    one.give_up_at(time.monotonic())
    await asyncio.sleep(0.01)
    one.answer(TAKEN, counted=counted)
    one.fail("lost")
    (error,) = heard
    assert isinstance(error, StoreUnavailableError)
    assert error.counted is not None
    assert await error.counted is counted


async def test_a_request_that_was_given_up_and_then_lost_counts_here() -> None:
    """Nobody will ever know whether the store counted it."""
    one, heard = waiting()
    one.give_up("too late")
    one.fail("lost")
    (error,) = heard
    assert isinstance(error, StoreUnavailableError)
    assert error.counted is not None
    assert await error.counted is False


async def test_who_cannot_be_told_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""

    def broken(_: object) -> None:
        raise RuntimeError

    with caplog.at_level(logging.ERROR):
        Waiting(broken, (), 0).answer(TAKEN, counted=True)
    assert [record.message for record in caplog.records] == ["an answer of the store could not be handed over"]


async def test_who_was_cancelled_is_told_nothing() -> None:
    """And nothing fails."""
    tells: list[Tell] = []
    asking = asyncio.create_task(answer_to(tells.append))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0)
    tells[0](TAKEN)
    tells[0](StoreUnavailableError("lost"))
