"""Answers: typed objects, exceptions by status, and clear words for everything else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sdk.conftest import KEY, Sdk
from tests.sdk.samples import API_KEY, JOB, USAGE, problem
from tests.sdk.scripted import Answer

from aitbc import exceptions
from aitbc.exceptions import AITBCError, APIStatusError, RateLimitError, ServerError, ValidationError
from aitbc.schemas.problem import FieldError


def get_job(client: Any) -> Any:
    return client.jobs.get("job_1")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "ValidationError"),
        (429, "RateLimitError"),
        (500, "ServerError"),
        (503, "ServerError"),
        (405, "APIStatusError"),
        (413, "APIStatusError"),
        (425, "APIStatusError"),
    ],
)
def test_an_error_becomes_the_exception_of_its_status(sdk: Sdk, status: int, name: str) -> None:
    """Each status has its class, and what the server said is on it."""
    sdk.server.answers(Answer(problem(status, "some_code"), status))
    with pytest.raises(APIStatusError) as caught:
        sdk(get_job, max_retries=0)
    error = caught.value
    assert type(error) is getattr(exceptions, name)
    assert (error.status, error.code, error.request_id) == (status, "some_code", "req_1")
    assert error.detail == str(error) == "a sentence about some_code"
    assert error.errors == ()


def test_a_validation_error_names_the_fields(sdk: Sdk) -> None:
    """422 carries field and message of each invalid field."""
    errors = [{"field": "constraints.min_vram_gb", "message": "expected a number"}]
    sdk.server.answers(Answer(problem(422, "validation_error", errors=errors), 422))
    with pytest.raises(ValidationError) as caught:
        sdk(lambda client: client.jobs.create({"constraints": {"min_vram_gb": "x"}}))
    assert caught.value.errors == (FieldError(field="constraints.min_vram_gb", message="expected a number"),)


def test_a_rate_limit_error_says_how_long_to_wait(sdk: Sdk) -> None:
    """429 carries retry_after in seconds, the limit and what is left."""
    headers = {"Retry-After": "42", "X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"}
    sdk.server.answers(Answer(problem(429, "rate_limit_exceeded"), 429, headers))
    with pytest.raises(RateLimitError) as caught:
        sdk(get_job, max_retries=0)
    assert (caught.value.retry_after, caught.value.limit, caught.value.remaining) == (42, 60, 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><title>502 Bad Gateway</title><body><h1>nginx</h1></body></html>", "502 Bad Gateway nginx"),
        (b"", "(empty)"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'"just a string"', "just a string"),
        (b"[" * 100_000, "[[["),
        (b'{"detail": 1, "errors": "none"}', '{"detail": 1'),
        (b"<" * 3_000_000, "<<<"),
    ],
)
def test_an_error_of_something_else_is_told_as_such(sdk: Sdk, body: bytes, words: str) -> None:
    """A proxy's page becomes the same class as the server's error, with a readable piece of it."""
    sdk.server.answers(Answer(body, 502, {"X-Request-ID": "req_9"}))
    with pytest.raises(ServerError) as caught:
        sdk(get_job, max_retries=0)
    assert caught.value.detail.startswith("502 Bad Gateway, answered by something that does not speak as AITBC")
    assert words in caught.value.detail
    assert len(caught.value.detail) < 400
    assert caught.value.request_id == "req_9"
    assert caught.value.code is None


def test_a_problem_of_another_service_keeps_its_title(sdk: Sdk) -> None:
    """RFC 9457 members are all optional: the title serves where there is no detail."""
    sdk.server.answers(Answer({"title": "Quota exceeded"}, 403))
    with pytest.raises(exceptions.PermissionDeniedError, match="Quota exceeded"):
        sdk(get_job)


def test_a_status_that_nobody_knows(sdk: Sdk) -> None:
    """An unregistered status is a number in the message, not a crash."""
    sdk.server.answers(Answer(b"?", 599))
    with pytest.raises(ServerError, match="599, answered by"):
        sdk(get_job)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>It works!</html>"),
        Answer([]),
        Answer({"job_id": "job_1"}),
        Answer(b""),
        Answer(status=204),
        Answer(b"\xff"),
        Answer(b'{"a":' * 100_000),
        Answer({**JOB, "requested_at": "yesterday"}),
    ],
    ids=range(8),
)
def test_an_answer_of_another_shape_is_an_error_of_this_package(sdk: Sdk, answer: Answer) -> None:
    """Never an exception of a JSON library, and a hint at the likeliest cause."""
    sdk.server.answers(answer)
    with pytest.raises(AITBCError, match=r"GET /v1/jobs/job_1 was answered 20\d .*no Job.*AITBC_BASE_URL"):
        sdk(get_job)


def test_an_answer_that_cannot_be_unpacked(sdk: Sdk) -> None:
    """A broken content encoding is an error of this package too, and not a reason to try again."""
    sdk.server.answers(Answer(b"not gzip", 200, {"Content-Encoding": "gzip"}))
    with pytest.raises(AITBCError, match="GET http://127"):
        sdk(get_job)
    assert len(sdk.server.requests) == 1


def test_fields_of_newer_servers_are_ignored(sdk: Sdk) -> None:
    """An old SDK outlives a newer server."""
    sdk.server.answers(Answer({**JOB, "shiny": {"new": 1}}))
    assert sdk(get_job).job_id == "job_1"


def test_an_object_reads_like_a_mapping_too(sdk: Sdk) -> None:
    """``job["job_id"]``, ``in``, ``get``, iteration and ``dict`` work as on the JSON."""
    sdk.server.answers(Answer(JOB))
    job = sdk(get_job)
    assert job["job_id"] == job.job_id == job.get("job_id") == "job_1"
    assert "job_id" in job
    assert "nope" not in job
    assert job.get("nope", 5) == 5
    assert list(job) == list(job.keys()) == list(JOB)
    assert dict(job)["state"] == "QUEUED"
    with pytest.raises(KeyError, match="nope"):
        job["nope"]


def test_an_object_has_the_names_of_the_json(sdk: Sdk) -> None:
    """A field that Python cannot name as the API does has the API's name in brackets."""
    sdk.server.answers(Answer(USAGE))
    usage = sdk(lambda client: client.usage.get())
    assert usage["from"] == usage.from_
    assert "from_" not in usage
    assert dict(usage.series[0]).keys() == {"points", "outcome"}


def test_a_replayed_creation_has_no_key(sdk: Sdk) -> None:
    """What the answer left out is not there, rather than there as a strange value."""
    sdk.server.answers(Answer(API_KEY))
    created = sdk(lambda client: client.api_keys.create(name="x", idempotency_key="k"))
    assert "key" not in created
    assert created.get("key") is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(sdk: Sdk, status: int) -> None:
    """The key never goes to another address, whatever the server says; the error says where it pointed."""
    sdk.server.answers(Answer(b"", status, {"Location": f"{sdk.server.url}/elsewhere"}))
    with pytest.raises(APIStatusError, match=r"points to http://127.*/elsewhere.*AITBC_BASE_URL") as caught:
        sdk(get_job)
    assert caught.value.status == status
    assert len(sdk.server.requests) == 1
    assert KEY not in str(caught.value)
