"""The one error shape: every code has a status and a title, and every 401 its challenge."""

from __future__ import annotations

import json

import msgspec
import pytest

from aitbc.schemas.problem import FieldError, Problem
from aitbc_server.errors import Code, DomainError, conflict, insufficient_scope, invalid, not_found
from aitbc_server.problem import STATUS, TITLES, encode_problem, www_authenticate

# Design section 5, word for word.
DOCUMENTED = {
    400: "bad_request ambiguous_credentials",
    401: "missing_api_key invalid_api_key revoked_api_key expired_api_key disabled_api_key",
    403: "insufficient_scope tenant_mismatch tenant_suspended ip_not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    425: "not_ready",
    429: "rate_limit_exceeded too_many_failures",
    500: "internal_error",
    503: "unavailable",
}


def test_the_codes_are_the_documented_ones() -> None:
    """Clients branch on them: none is missing, none is new, each has its status."""
    expected = {code: status for status, codes in DOCUMENTED.items() for code in codes.split()}
    assert {str(code): status for code, status in STATUS.items()} == expected
    assert set(STATUS) == set(TITLES) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_every_problem_has_the_same_shape(code: Code) -> None:
    """RFC 9457, with a code and the request's id; ``errors`` only where there are some."""
    body = encode_problem(code, "Why.", "req_1")
    assert json.loads(body) == {
        "type": f"urn:aitbc:error:{code}",
        "title": TITLES[code],
        "status": STATUS[code],
        "detail": "Why.",
        "code": code,
        "request_id": "req_1",
    }
    named = encode_problem(code, "Why.", "req_1", [FieldError(field="cost", message="is too large")])
    assert msgspec.json.decode(named, type=Problem).errors == [FieldError(field="cost", message="is too large")]


@pytest.mark.parametrize("code", list(Code))
def test_every_401_and_nothing_else_carries_a_challenge(code: Code) -> None:
    """With an error parameter only when a credential was sent (RFC 6750, section 3)."""
    challenge = www_authenticate(code)
    assert (challenge is not None) is (STATUS[code] == 401)
    if challenge is not None:
        assert challenge.startswith('Bearer realm="aitbc"')
        assert ('error="invalid_token"' in challenge) is (code is not Code.MISSING_API_KEY)


def test_the_usual_errors() -> None:
    """Each has its code; a field's error names the field in its text too; a log text never reaches the caller."""
    assert not_found().code is Code.NOT_FOUND
    assert "jobs:read" in insufficient_scope("jobs:read").detail
    assert conflict("Not now.").code is Code.CONFLICT
    wrong = invalid("cost", "is too large")
    assert (wrong.detail, wrong.errors) == ("cost: is too large", [FieldError(field="cost", message="is too large")])
    told = DomainError(Code.UNAVAILABLE, "Later.", log="disk full")
    assert (str(told), told.detail) == ("disk full", "Later.")
