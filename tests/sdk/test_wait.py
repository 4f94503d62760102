"""Lists that page by themselves, and waiting for a job."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sdk.conftest import KEY, Sdk
from tests.sdk.samples import job, problem
from tests.sdk.scripted import Answer, ScriptedServer

from aitbc import AITBCClient
from aitbc.exceptions import APITimeoutError, JobTimeoutError, NotFoundError
from aitbc.schemas.jobs import JobState


def page(*ids: str, cursor: str | None = None) -> Answer:
    return Answer({"items": [job(job_id=job_id) for job_id in ids], "next_cursor": cursor})


def test_a_list_goes_on_to_the_next_page_by_itself(sdk: Sdk) -> None:
    """Every item of every page, in order; the filters go along with the cursor, whatever it holds."""
    sdk.server.answers(page("a", "b", cursor="c/1+&="), page(cursor="c2"), page("c"))
    jobs = sdk(lambda client: client.jobs.list(state="QUEUED", limit=2))
    assert [job.job_id for job in jobs] == ["a", "b", "c"]
    assert [request.query for request in sdk.server.requests] == [
        {"state": "QUEUED", "limit": "2"},
        {"state": "QUEUED", "limit": "2", "cursor": "c/1+&="},
        {"state": "QUEUED", "limit": "2", "cursor": "c2"},
    ]


def test_a_page_is_fetched_when_it_is_needed(server: ScriptedServer) -> None:
    """Asking for a list sends nothing; stopping early asks for no more."""
    server.answers(page("a", "b", cursor="c1"))
    with AITBCClient(KEY, server.url) as client:
        jobs = client.jobs.list()
        assert server.requests == []
        assert [next(jobs).job_id, next(jobs).job_id] == ["a", "b"]
        assert len(server.requests) == 1


def test_a_page_is_retried_like_any_call(sdk: Sdk) -> None:
    """A list survives a bad moment between two pages."""
    sdk.server.answers(page("a", cursor="c1"), Answer(b"", 502), page("b"))
    assert len(sdk(lambda client: client.jobs.list())) == 2


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELED", "EXPIRED"])
def test_a_wait_ends_with_the_job(sdk: Sdk, state: str) -> None:
    """The final job is returned, and on_update heard each change once."""
    states = ["QUEUED", "QUEUED", "RUNNING", "RUNNING", state]
    sdk.server.answers(*(Answer(job(state=state)) for state in states))
    heard: list[Any] = []
    final = sdk(lambda client: client.jobs.wait_for_completion("job_1", on_update=heard.append))
    assert final.state == JobState(state)
    assert [job.state for job in heard] == ["QUEUED", "RUNNING", state]
    assert sdk.time.slept_s == [1, 1, 1, 1]


def test_a_wait_gives_up_in_time(sdk: Sdk) -> None:
    """The last look is at the deadline itself; the error is a timeout, and has the job as last seen."""
    sdk.server.answers(*[Answer(job(state="RUNNING"))] * 9)
    with pytest.raises(JobTimeoutError, match=r"job job_1 is still RUNNING after 2\.5 s") as caught:
        sdk(lambda client: client.jobs.wait_for_completion("job_1", timeout=2.5))
    assert isinstance(caught.value, APITimeoutError)
    assert caught.value.job is not None
    assert caught.value.job.state == JobState.RUNNING
    assert sdk.time.slept_s == [1, 1, 0.5]


def test_a_wait_of_nothing_looks_once(sdk: Sdk) -> None:
    """timeout=0 asks whether it is final."""
    sdk.server.answers(Answer(job(state="RUNNING")))
    with pytest.raises(JobTimeoutError):
        sdk(lambda client: client.jobs.wait_for_completion("job_1", 0))
    assert len(sdk.server.requests) == 1


def test_a_long_wait_spares_the_limit(sdk: Sdk) -> None:
    """A job that takes long is looked at every 5 s in the end, not every second of a free plan's 60."""
    sdk.server.answers(*[Answer(job(state="RUNNING"))] * 60, Answer(job(state="COMPLETED")))
    sdk(lambda client: client.jobs.wait_for_completion("job_1", poll_interval=0.5))
    assert sdk.time.slept_s[0] == 0.5
    assert sdk.time.slept_s == sorted(sdk.time.slept_s)
    assert sdk.time.slept_s[-1] == 5


def test_a_wait_may_be_slower_than_that(sdk: Sdk) -> None:
    """A poll_interval beyond 5 s holds."""
    sdk.server.answers(Answer(job()), Answer(job(state="COMPLETED")))
    sdk(lambda client: client.jobs.wait_for_completion("job_1", poll_interval=30))
    assert sdk.time.slept_s == [30]


def test_a_wait_for_a_job_that_is_not_there(sdk: Sdk) -> None:
    """Errors of the calls come through."""
    sdk.server.answers(Answer(problem(404, "not_found"), 404))
    with pytest.raises(NotFoundError):
        sdk(lambda client: client.jobs.wait_for_completion("job_1"))
