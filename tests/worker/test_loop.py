"""The miner's loop against a real HTTP server: every job ends once, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.sdk.samples import problem
from tests.worker.conftest import QUICK, StartMiner
from tests.worker.marketplace import Marketplace, marketplace

from aitbc.exceptions import AuthenticationError, NotFoundError, PermissionDeniedError
from aitbc.worker import JobFailed, example_runner

TEXT = {"type": "text-statistics", "text": "To be or not to be."}


class Hands:
    """A runner whose jobs last until the test lets them end."""

    job_types = ()

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def run(self, job_id: str, payload: dict[str, Any], cancelled: threading.Event) -> dict[str, Any]:
        """Wait for ``go_on``, or for the miner to give up."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        while not self.go_on.wait(0.01) and not cancelled.is_set():
            pass
        with self._lock:
            self._at_once -= 1
        return {"done": job_id}


class Failing:
    """A runner that raises."""

    job_types = ()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, job_id: str, payload: dict[str, Any], cancelled: threading.Event) -> dict[str, Any]:
        """Fail."""
        raise self.error


def test_it_registers_runs_a_job_and_hands_in_the_result(market: Marketplace, start_miner: StartMiner) -> None:
    """The example program's statistics come back as the job's result, with how long it took."""
    market.offer("job_1", TEXT)
    with start_miner(example_runner(), replace(QUICK, capabilities={"gpu": "none"}, region="eu")) as miner:
        market.wait_for(lambda: market.results)
    assert market.registrations == [{"capabilities": {"gpu": "none"}, "concurrency": 1, "region": "eu"}]
    assert market.results["job_1"]["result"]["words"] == 6
    assert market.results["job_1"]["metrics"]["duration_seconds"] > 0
    assert miner.summary is not None
    assert miner.summary.completed == 1


def test_a_job_that_it_cannot_run_fails_naming_what_it_can(market: Marketplace, start_miner: StartMiner) -> None:
    """The documented short form ends FAILED ``unsupported_job_type``, which names text-statistics."""
    model = {"type": "python", "entrypoint": "model.py"}
    market.offer("job_1", {"name": "image-classification", "type": "ai-inference", "model": model})
    with start_miner(example_runner()) as miner:
        market.wait_for(lambda: market.failures)
    assert market.failures["job_1"]["error_code"] == "unsupported_job_type"
    assert "text-statistics" in market.failures["job_1"]["error_message"]
    assert miner.summary is not None
    assert miner.summary.failed == 1


def test_a_runner_with_a_bug_fails_the_job_and_not_the_miner(market: Marketplace, start_miner: StartMiner) -> None:
    """An unexpected exception is the job's error; the next job runs."""
    runner = Failing(ZeroDivisionError("oops"))
    market.offer("job_1", {})
    with start_miner(runner):
        market.wait_for(lambda: market.failures)
        runner.error = JobFailed("mine", "said so")
        market.offer("job_2", {})
        market.wait_for(lambda: "job_2" in market.failures)
    assert market.failures["job_1"]["error_code"] == "runner_error"
    assert market.failures["job_2"]["error_message"] == "said so"


def test_heartbeats_come_while_a_job_runs(market: Marketplace, start_miner: StartMiner) -> None:
    """They say how many jobs are at hand, which keeps their leases."""
    hands = Hands()
    market.offer("job_1", {})
    with start_miner(hands):
        market.wait_for(lambda: any(beat["inflight"] == 1 for beat in market.heartbeats))
        hands.go_on.set()
        market.wait_for(lambda: market.results)


def test_it_never_takes_more_jobs_than_its_concurrency(market: Marketplace, start_miner: StartMiner) -> None:
    """Two at once and no third, until a hand is free."""
    hands = Hands()
    for number in range(4):
        market.offer(f"job_{number}", {})
    with start_miner(hands, replace(QUICK, concurrency=2)):
        market.wait_for(lambda: len(market.jobs) == 2)
        time.sleep(0.3)
        assert len(market.jobs) == 2
        hands.go_on.set()
        market.wait_for(lambda: len(market.results) == 4)
    assert hands.most_at_once == 2


def test_a_stop_lets_the_job_at_hand_finish(market: Marketplace, start_miner: StartMiner) -> None:
    """It takes no other one, and hands the result in."""
    hands = Hands()
    market.offer("job_1", {})
    with start_miner(hands) as miner:
        market.wait_for(lambda: not market.jobs)
        miner.stop.set()
        time.sleep(0.3)
        market.offer("job_2", {})
        hands.go_on.set()
        market.wait_for(lambda: market.results)
    assert list(market.results) == ["job_1"]
    assert miner.summary is not None
    assert (miner.summary.completed, miner.summary.abandoned) == (1, 0)


def test_a_job_that_a_late_poll_brings_is_left_to_others(market: Marketplace, start_miner: StartMiner) -> None:
    """A poll that was on its way when the miner stopped may still bring one: it is not begun."""
    hands = Hands()
    market.longest_poll_s = 3.0
    market.offer("job_1", {})
    with start_miner(hands, replace(QUICK, concurrency=2, poll_wait_s=3.0)) as miner:
        market.wait_for(lambda: not market.jobs)
        time.sleep(0.3)
        miner.stop.set()
        while not any("stopping" in line for line in list(miner.lines)):
            time.sleep(0.01)
        market.offer("job_2", {})
        market.wait_for(lambda: not market.jobs)
        time.sleep(0.1)
        hands.go_on.set()
    assert list(market.results) == ["job_1"]
    assert miner.summary is not None
    assert (miner.summary.completed, miner.summary.abandoned) == (1, 1)


@pytest.mark.parametrize("how", ["grace", "give_up"])
def test_a_job_that_outlasts_the_stop_is_not_reported(how: str, market: Marketplace, start_miner: StartMiner) -> None:
    """It goes back to the queue when its lease lapses: nobody is told that it failed."""
    market.offer("job_1", {})
    grace_s = 0.1 if how == "grace" else 60
    with start_miner(Hands(), replace(QUICK, stop_grace_s=grace_s)) as miner:
        market.wait_for(lambda: not market.jobs)
        miner.stop.set()
        if how == "give_up":
            miner.give_up.set()
    assert not market.results
    assert not market.failures
    assert miner.summary is not None
    assert miner.summary.abandoned == 1


def test_it_survives_a_server_that_goes_away(start_miner: StartMiner, market: Marketplace) -> None:
    """A result that could not be handed in is handed in when the server is back, and work goes on."""
    hands = Hands()
    running = ExitStack()
    first = running.enter_context(marketplace())
    market.url = first.url
    first.offer("job_1", {})
    with start_miner(hands, replace(QUICK, concurrency=2)) as miner:
        first.wait_for(lambda: not first.jobs)
        running.close()
        hands.go_on.set()
        while not any("could not be reported" in line for line in list(miner.lines)):
            time.sleep(0.01)
        with marketplace(int(first.url.rpartition(":")[2])) as second:
            second.wait_for(lambda: "job_1" in second.results, 20)
            second.offer("job_2", {})
            second.wait_for(lambda: "job_2" in second.results, 20)
            miner.stop.set()
    assert any("the server answers again" in line for line in miner.lines)


def test_a_server_that_forgot_the_miner_gets_it_registered_again(market: Marketplace, start_miner: StartMiner) -> None:
    """A poll or heartbeat answered 404 is no reason to end."""
    market.fail = {"poll": [(404, problem(404, "not_found"))], "heartbeat": [(404, problem(404, "not_found"))]}
    market.offer("job_1", TEXT)
    with start_miner(example_runner()):
        market.wait_for(lambda: market.results)
    assert len(market.registrations) == 2


@pytest.mark.parametrize("call", ["register", "poll", "heartbeat", "result"])
@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)], ids=["401", "403"]
)
def test_a_refused_key_ends_it(
    call: str, status: int, error: type[Exception], market: Marketplace, start_miner: StartMiner
) -> None:
    """Whichever call finds out: a revoked key does not go on knocking."""
    market.fail = {call: [(status, problem(status, "revoked_api_key"))]}
    market.offer("job_1", TEXT)
    with start_miner(example_runner()) as miner:
        while miner.error is None:
            time.sleep(0.01)
    assert isinstance(miner.error, error)


def test_a_server_that_is_no_aitbc_server_ends_it(market: Marketplace, start_miner: StartMiner) -> None:
    """A registration that is answered 404 is told, not repeated for ever."""
    market.fail = {"register": [(404, problem(404, "not_found"))]}
    with start_miner(example_runner()) as miner:
        while miner.error is None:
            time.sleep(0.01)
    assert isinstance(miner.error, NotFoundError)


def test_a_result_that_is_refused_becomes_a_failure(market: Marketplace, start_miner: StartMiner) -> None:
    """The client learns why there is no result (too large, say) instead of waiting for the lease to lapse."""
    market.fail = {"result": [(413, problem(413, "payload_too_large"))]}
    market.offer("job_1", TEXT)
    with start_miner(example_runner()):
        market.wait_for(lambda: market.failures)
    assert market.failures["job_1"]["error_code"] == "result_refused"


def test_a_job_that_was_lost_meanwhile_is_let_go(market: Marketplace, start_miner: StartMiner) -> None:
    """A result answered 409 is not sent again, and the next job runs."""
    market.fail = {"result": [(409, problem(409, "conflict"))]}
    market.offer("job_1", TEXT)
    market.offer("job_2", TEXT)
    with start_miner(example_runner()) as miner:
        market.wait_for(lambda: "job_2" in market.results)
    assert "job_1" not in market.results
    assert any("no longer this miner's" in line for line in miner.lines)


def test_a_failure_that_cannot_be_reported_does_not_end_it(market: Marketplace, start_miner: StartMiner) -> None:
    """Even a failure may be refused; the miner says so and goes on."""
    market.fail = {"fail": [(422, problem(422, "validation_error"))]}
    market.offer("job_1", {"type": "other"})
    market.offer("job_2", TEXT)
    with start_miner(example_runner()) as miner:
        market.wait_for(lambda: market.results)
    assert any("could not be reported" in line for line in miner.lines)
