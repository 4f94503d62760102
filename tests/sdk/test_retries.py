"""What is sent again, when, and what never is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.conftest import Sdk
from tests.sdk.samples import API_KEY, JOB, RECEIPT, problem
from tests.sdk.scripted import Answer, Drop, Hang

from aitbc.exceptions import APIConnectionError, APITimeoutError, ConflictError, RateLimitError, ServerError

Use = Callable[[Any], Any]

OK = {"status": "ok", "session_token": "t"}
ACCEPTED = {"status": "ok", "receipt": RECEIPT}
ASSIGNED = {"job_id": "job_1", "payload": {}, "constraints": {}}

#: What is called, and what a good answer to it is.
REPEATABLE: dict[str, tuple[Use, Any]] = {
    "jobs.create": (lambda c: c.jobs.create({"a": 1}), JOB),
    "jobs.get": (lambda c: c.jobs.get("job_1"), JOB),
    "api_keys.create with a key": (lambda c: c.api_keys.create(name="x", idempotency_key="k"), API_KEY),
    "api_keys.revoke": (lambda c: c.api_keys.revoke("key_1"), API_KEY),
    "miners.heartbeat": (lambda c: c.miners.heartbeat(), OK),
    "miners.register with an id": (lambda c: c.miners.register("rig-1"), OK),
}
NOT_REPEATABLE: dict[str, tuple[Use, Any]] = {
    "jobs.cancel": (lambda c: c.jobs.cancel("job_1"), JOB),
    "api_keys.create": (lambda c: c.api_keys.create(name="x"), API_KEY),
    "api_keys.update": (lambda c: c.api_keys.update("key_1", name="x"), API_KEY),
    "api_keys.regenerate": (lambda c: c.api_keys.regenerate("key_1"), API_KEY),
    "api_keys.verify": (lambda c: c.api_keys.verify("x"), {"valid": True, "code": "VALID"}),
    "miners.register": (lambda c: c.miners.register(), OK),
    "miners.poll": (lambda c: c.miners.poll(), ASSIGNED),
    "miners.submit_result": (lambda c: c.miners.submit_result("job_1", {}), ACCEPTED),
    "miners.submit_failure": (lambda c: c.miners.submit_failure("job_1", "x"), OK),
}
GONE = [Drop(), *(Answer(b"<h1>Bad gateway</h1>", status) for status in (502, 503, 504))]
LIMITED = Answer(problem(429, "rate_limit_exceeded"), 429, {"Retry-After": "7"})


@pytest.mark.parametrize("failure", GONE, ids=str)
@pytest.mark.parametrize(("use", "answer"), REPEATABLE.values(), ids=REPEATABLE)
def test_a_call_that_does_no_harm_twice_is_sent_again(sdk: Sdk, use: Use, answer: Any, failure: Answer | Drop) -> None:
    """Lost connections and 502 to 504 are healed, with a wait that grows, when the call can be repeated."""
    sdk.server.answers(failure, failure, Answer(answer))
    sdk(use)
    assert sdk.time.slept_s == [0.25, 0.5]
    assert len({(r.method, r.target, r.body) for r in sdk.server.requests}) == 1
    assert len(sdk.server.requests) == 3


@pytest.mark.parametrize("failure", GONE, ids=str)
@pytest.mark.parametrize("name", NOT_REPEATABLE)
def test_a_call_that_may_do_harm_twice_is_never_sent_again(sdk: Sdk, name: str, failure: Answer | Drop) -> None:
    """Without an idempotency key the SDK does not risk to do it twice: the caller hears of it at once."""
    sdk.server.answers(failure)
    with pytest.raises((APIConnectionError, ServerError)):
        sdk(NOT_REPEATABLE[name][0])
    assert len(sdk.server.requests) == 1


@pytest.mark.parametrize(("use", "answer"), [*REPEATABLE.values(), *NOT_REPEATABLE.values()])
def test_a_refusal_for_the_limit_is_always_sent_again_after_as_long_as_asked(sdk: Sdk, use: Use, answer: Any) -> None:
    """429 did nothing and consumed nothing, so any call waits for Retry-After and tries again."""
    sdk.random = 0.5
    sdk.server.answers(LIMITED, Answer(answer))
    sdk(use)
    assert sdk.time.slept_s == [7.25]


def test_one_idempotency_key_serves_all_attempts_of_a_job(sdk: Sdk) -> None:
    """A job that is submitted again after a lost answer is the same job; the next job is another."""
    sdk.server.answers(Drop(), Answer(JOB), Answer(JOB), Answer(JOB))
    sdk(lambda client: client.jobs.create({"a": 1}))
    sdk(lambda client: client.jobs.create({"a": 1}))
    sdk(lambda client: client.jobs.create({"a": 1}, idempotency_key="mine"))
    first, again, second, mine = (r.headers["idempotency-key"] for r in sdk.server.requests)
    assert first == again
    assert len({first, second, mine}) == 3
    assert mine == "mine"


def test_a_conflict_with_its_own_first_attempt_is_waited_out(sdk: Sdk) -> None:
    """409 after a lost answer says that the first attempt is still at work, so the job is asked for again."""
    sdk.server.answers(Drop(), Answer(problem(409, "conflict"), 409), Answer(JOB, 201))
    assert sdk(lambda client: client.jobs.create({"a": 1})).job_id == "job_1"


def test_a_conflict_at_first_is_the_callers(sdk: Sdk) -> None:
    """409 to a first attempt means another body under the same key: told at once."""
    sdk.server.answers(Answer(problem(409, "conflict"), 409))
    with pytest.raises(ConflictError):
        sdk(lambda client: client.jobs.create({"a": 1}, idempotency_key="used"))
    assert len(sdk.server.requests) == 1


def test_retries_end(sdk: Sdk) -> None:
    """At most max_retries, then the last error as it is."""
    sdk.server.answers(*[Answer(b"", 503)] * 9)
    with pytest.raises(ServerError) as caught:
        sdk(lambda client: client.jobs.get("job_1"), max_retries=6)
    assert caught.value.status == 503
    assert len(sdk.server.requests) == 7
    assert sdk.time.slept_s == [0.25, 0.5, 1, 2, 4, 4]


def test_retries_can_be_off(sdk: Sdk) -> None:
    """max_retries=0 sends once."""
    sdk.server.answers(LIMITED)
    with pytest.raises(RateLimitError):
        sdk(lambda client: client.jobs.get("job_1"), max_retries=0)
    assert len(sdk.server.requests) == 1


def test_jitter_spreads_the_waits(sdk: Sdk) -> None:
    """Clients that failed together do not come back together: between half of the wait and all of it."""
    sdk.random = 0.5
    sdk.server.answers(Drop(), Drop(), Answer(JOB))
    sdk(lambda client: client.jobs.get("job_1"))
    assert sdk.time.slept_s == [0.375, 0.75]


def test_500_is_not_sent_again(sdk: Sdk) -> None:
    """An error of the server itself is likely to come again."""
    sdk.server.answers(Answer(problem(500, "internal_error"), 500))
    with pytest.raises(ServerError):
        sdk(lambda client: client.jobs.get("job_1"))
    assert len(sdk.server.requests) == 1


@pytest.mark.parametrize("asked", ["61", "99999999999999999999"])
def test_a_wait_that_is_too_long_is_the_callers_to_plan(sdk: Sdk, asked: str) -> None:
    """More than 60 s is not slept through: the error comes at once."""
    sdk.server.answers(Answer(problem(429, "rate_limit_exceeded"), 429, {"Retry-After": asked}))
    with pytest.raises(RateLimitError):
        sdk(lambda client: client.jobs.get("job_1"))
    assert sdk.time.slept_s == []


@pytest.mark.parametrize(
    ("headers", "slept_s"),
    [
        ({"Retry-After": "60"}, 60),
        ({"Retry-After": "0"}, 0),
        (
            {"Retry-After": "Tue, 24 Nov 2026 06:00:09 GMT", "Date": "Tue, 24 Nov 2026 06:00:00 GMT"},
            9,
        ),
        (
            {"Retry-After": "Tue, 24 Nov 2026 06:00:00 GMT", "Date": "Tue, 24 Nov 2026 06:00:09 GMT"},
            0,
        ),
        ({"Retry-After": "Tue, 24 Nov 2026 06:00:09 GMT"}, 0.25),
        ({"Retry-After": "Tue, 24 Nov 2026 06:00:09 GMT", "Date": "Tue, 24 Nov 2026 06:00:00 -0000"}, 0.25),
        ({"Retry-After": "soon"}, 0.25),
        ({"Retry-After": "-5"}, 0.25),
        ({}, 0.25),
    ],
)
def test_retry_after_in_every_form(sdk: Sdk, headers: dict[str, str], slept_s: float) -> None:
    """Seconds, or a date relative to the answer's own clock; what cannot be read counts as absent."""
    sdk.server.answers(Answer(b"", 503, headers), Answer(JOB))
    sdk(lambda client: client.jobs.get("job_1"))
    assert sum(sdk.time.slept_s) == slept_s


def test_a_server_that_is_not_there(sdk: Sdk) -> None:
    """The error says where nothing was found, and what to look at."""
    with pytest.raises(APIConnectionError, match=r"GET http://127.0.0.1:1/v1/jobs/job_1.*AITBC_BASE_URL"):
        sdk(lambda client: client.jobs.get("job_1"), base_url="http://127.0.0.1:1")
    assert len(sdk.time.slept_s) == 2


def test_a_server_that_does_not_answer(sdk: Sdk) -> None:
    """``timeout`` bounds the wait for the answer, and the error says how long it was."""
    sdk.server.answers(Hang())
    with pytest.raises(APITimeoutError, match=r"no answer within 0\.05 s"):
        sdk(lambda client: client.jobs.get("job_1"), timeout=0.05, max_retries=0)


def test_a_poll_may_take_its_wait_longer(sdk: Sdk) -> None:
    """The read timeout of a poll is extended by the wait that was asked for."""
    sdk.server.answers(Hang())
    with pytest.raises(APITimeoutError, match=r"no answer within 0\.15 s"):
        sdk(lambda client: client.miners.poll(0.1), timeout=0.05)


def test_no_timeout(sdk: Sdk) -> None:
    """timeout=None waits for as long as it takes."""
    sdk.server.answers(Answer(JOB))
    assert sdk(lambda client: client.jobs.get("job_1"), timeout=None).job_id == "job_1"
