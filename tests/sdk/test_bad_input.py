"""Input that cannot be sent: a clear error before anything is on the wire, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tests.sdk.conftest import Sdk
from tests.sdk.samples import JOB
from tests.sdk.scripted import Answer

from aitbc.exceptions import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)


@pytest.mark.parametrize("key_id", ["", ".", ".."])
def test_an_id_that_no_path_can_carry_is_not_found(sdk: Sdk, key_id: str) -> None:
    """Empty ids and dot segments would reach another route, encoded or not: they are never sent."""
    with pytest.raises(NotFoundError, match="nothing has the key_id"):
        sdk(lambda client: client.api_keys.get(key_id))
    assert sdk.server.requests == []


@pytest.mark.parametrize("api_key", ["key\n", " key", "key ", "a\r\nX-Evil: 1", "schlüssel", "a\x00b", "\ud800"])
def test_a_key_that_no_header_can_carry_is_an_authentication_error(sdk: Sdk, api_key: str) -> None:
    """The snippet of the README works for every wrong key: it fails where it is used, as not accepted.

    The message does not show it. ASVS 1.2.1.
    """
    with pytest.raises(AuthenticationError, match="the API key cannot be sent") as caught:
        sdk(lambda client: client.api_keys.self(), api_key=api_key)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.status is None
    assert api_key.strip() not in str(caught.value).replace("API key", "")
    assert sdk.server.requests == []


def test_a_strange_key_that_a_header_can_carry_is_sent(sdk: Sdk) -> None:
    """The SDK never refuses a key by its format: the server alone decides."""
    sdk.server.answers(Answer(JOB))
    sdk(lambda client: client.jobs.get("job_1"), api_key="your api key!")
    assert sdk.server.last.headers["x-api-key"] == "your api key!"


@pytest.mark.parametrize(
    ("use", "arguments", "error"),
    [
        (lambda c: c.jobs.get("job_1"), {"tenant_id": "a\nb"}, PermissionDeniedError),
        (lambda c: c.jobs.create({}, idempotency_key="ü"), {}, BadRequestError),
        (lambda c: c.jobs.get("\ud800"), {}, ValidationError),
        (lambda c: c.api_keys.list(q="\ud800"), {}, ValidationError),
    ],
)
def test_other_text_that_cannot_be_sent_is_refused_as_the_server_would(
    sdk: Sdk, use: Callable[[Any], Any], arguments: dict[str, Any], error: type[APIStatusError]
) -> None:
    """Headers that would break, and text that is no Unicode, are errors of this package, not of a library."""
    with pytest.raises(error) as caught:
        sdk(use, **arguments)
    assert caught.value.status is None
    assert sdk.server.requests == []


def _deep() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(100_000):
        nested = {"a": nested}
    return nested


@pytest.mark.parametrize(
    "payload",
    [{"x": float("nan")}, {"x": float("-inf")}, {"x": object()}, {"x": "\ud800"}, {1: {2: {3: {object()}}}}],
)
def test_a_body_that_json_cannot_carry_is_refused(sdk: Sdk, payload: dict[str, Any]) -> None:
    """NaN does not turn into null on the way, and what has no JSON form is named as such."""
    with pytest.raises(ValidationError, match="cannot be sent as JSON"):
        sdk(lambda client: client.jobs.create(payload))
    assert sdk.server.requests == []


def test_a_body_that_is_too_deep_is_refused(sdk: Sdk) -> None:
    """Nesting beyond what the encoder can walk is a clear error."""
    with pytest.raises(ValidationError, match="cannot be sent as JSON"):
        sdk(lambda client: client.jobs.create(_deep()))
    no_jobs: list[tuple[Any, str]] = [(None, "NoneType"), ([], "list"), ("{}", "str")]
    for job, kind in no_jobs:
        with pytest.raises(TypeError, match=f"job must be a dict or a CreateJob, not {kind}"):
            sdk(lambda client: client.jobs.create(job))  # noqa: B023 - it is called at once


def test_a_body_is_sent_unchanged(sdk: Sdk) -> None:
    """Large numbers, other scripts, and numbers as names arrive as they were meant."""
    sdk.server.answers(Answer(JOB))
    sdk(lambda client: client.jobs.create({"n": 2**70, "text": "żółw 🐢", "by": {1: 0.1}, "none": None}))
    assert sdk.server.last.json == {"n": 2**70, "text": "żółw 🐢", "by": {"1": 0.1}, "none": None}


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.jobs.list(created_after=datetime(2026, 1, 1)),  # noqa: DTZ001 - the subject
        lambda c: c.api_keys.create(name="x", expires_at=datetime(2026, 1, 1)),  # noqa: DTZ001
    ],
)
def test_a_time_without_a_zone_is_refused(sdk: Sdk, use: Callable[[Any], Any]) -> None:
    """A naive datetime is not guessed to be UTC, nor local: the message says how to give it a zone."""
    with pytest.raises(ValidationError, match="has no time zone"):
        sdk(use)
    assert sdk.server.requests == []


@pytest.mark.parametrize("poll_interval", [0, -1, float("nan")])
def test_a_wait_that_would_never_pause_is_refused(sdk: Sdk, poll_interval: float) -> None:
    """A poll interval of nothing would only burn the tenant's limit."""
    with pytest.raises(ValueError, match="poll_interval"):
        sdk(lambda client: client.jobs.wait_for_completion("job_1", poll_interval=poll_interval))
