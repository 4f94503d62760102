"""Handing in an outcome: as often as it takes, for as long as somebody wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.samples import problem
from tests.sdk.scripted import Answer, scripted_server

from aitbc import AITBCClient, worker
from aitbc.exceptions import RateLimitError
from aitbc.worker.backoff import Backoff
from aitbc.worker.report import Reporter

Report = Callable[..., bool]


@pytest.fixture
def said() -> list[str]:
    """What the reporter said."""
    return []


@pytest.fixture
def given_up() -> threading.Event:
    """Set when the miner must end."""
    return threading.Event()


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, said: list[str], given_up: threading.Event) -> Report:
    """Report a result to a server that answers as it is told, with waits too short to notice."""
    monkeypatch.setattr("aitbc.worker.backoff.FIRST_WAIT_S", 0.001)

    def run(*answers: Answer) -> bool:
        with scripted_server() as server:
            server.answers(*answers)
            with AITBCClient("key", server.url, max_retries=0) as client:
                reporter = Reporter(client=client, miner_id="rig", given_up=given_up, say=said.append)
                return reporter.report("job_1", {"words": 6}, {})

    return run


def test_a_result_that_had_arrived_is_not_said_to_be_lost(report: Report, said: list[str]) -> None:
    """The first answer went missing, and the second says that the job is done: that was this very result."""
    assert report(Answer(problem(503, "unavailable"), 503), Answer(problem(409, "conflict"), 409))
    assert len(said) == 1
    assert "trying again" in said[0]


def test_a_miner_that_must_end_gives_up(report: Report, given_up: threading.Event) -> None:
    """Whoever stops the miner twice does not wait for a server that is away."""
    given_up.set()
    assert not report(Answer(problem(503, "unavailable"), 503))


def test_a_server_that_says_how_long_is_believed() -> None:
    """429 names the seconds, and who waits them is let in; all others wait a little longer each time."""
    backoff = Backoff(jitter=lambda: 0.5)
    limited: Any = RateLimitError("slow down", status=429, headers={"retry-after": "7"})
    assert backoff.next_s(limited) == 7.5
    assert backoff.next_s(RateLimitError("slow down", status=429)) == pytest.approx(0.75)


def test_a_name_that_is_not_there_is_said() -> None:
    """The package imports its parts when they are asked for; anything else is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = worker.nothing
