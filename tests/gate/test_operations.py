"""Finding the operation of a request: one answer for each path, and a key is needed where there is none."""

from __future__ import annotations

import pytest

from aitbc_server.gate.operations import UNMATCHED, Audience, Operation, Operations, Route

LIST, CREATE, GET = Operation("jobs.list"), Operation("jobs.create"), Operation("jobs.get")
RESULT, SELF, KEY = Operation("jobs.result"), Operation("api_keys.self"), Operation("api_keys.get")

OPERATIONS = Operations(
    [
        Route("GET", "/v1/jobs", LIST),
        Route("POST", "/v1/jobs", CREATE),
        Route("GET", "/v1/jobs/{job_id}", GET),
        Route("GET", "/v1/jobs/{job_id}/result", RESULT),
        Route("GET", "/v1/api-keys/{key_id}", KEY),
        Route("GET", "/v1/api-keys/self", SELF),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "operation", "key_id"),
    [
        ("GET", "/v1/jobs", LIST, None),
        ("POST", "/v1/jobs", CREATE, None),
        ("GET", "/v1/jobs/abc", GET, None),
        ("GET", "/v1/jobs/abc/result", RESULT, None),
        ("GET", "/v1/api-keys/self", SELF, None),
        ("GET", "/v1/api-keys/key_1", KEY, "key_1"),
        ("GET", "/v1/api-keys/SELF", KEY, "SELF"),
    ],
)
def test_a_path_has_its_operation(method: str, path: str, operation: Operation, key_id: str | None) -> None:
    """Literal paths come before parameters."""
    assert OPERATIONS.find(method, path) == (operation, key_id)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/"),
        ("GET", "//v1/jobs"),
        ("GET", "/v1//jobs"),
        ("GET", "/v1/jobs/abc/"),
        ("GET", "/v1/jobs//result"),
        ("GET", "/V1/jobs"),
        ("GET", "/v1/jobs/abc/other"),
        ("GET", "/v1/jobs;x=1"),
        ("GET", "v1/jobs"),
        ("GET", ""),
        ("HEAD", "/v1/jobs"),
        ("get", "/v1/jobs"),
        ("OPTIONS", "/v1/jobs"),
        ("TRACE", "/v1/jobs"),
    ],
)
def test_everything_else_has_none(method: str, path: str) -> None:
    """No second spelling of a path or a method is a way around its scope. ASVS 4.1.4, 8.3.1."""
    assert OPERATIONS.find(method, path) is UNMATCHED
    assert UNMATCHED.operation.audience is Audience.KEY


def test_a_path_knows_its_methods() -> None:
    """For the Allow header."""
    assert OPERATIONS.methods("/v1/jobs") == ["GET", "POST"]
    assert OPERATIONS.methods("/v1/jobs/abc") == ["GET"]
    assert OPERATIONS.methods("/v1/other") == []


def test_a_page_is_what_browsers_ask_for() -> None:
    """What is for people, or for everyone without being the API's, gets the checks that browsers' forms need."""
    assert not Operation("x").page
    assert not Operation("x", audience=Audience.EVERYONE, api=True).page
    assert Operation("x", audience=Audience.EVERYONE).page
    assert Operation("x", audience=Audience.PERSON).page
