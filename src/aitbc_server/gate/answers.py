"""Whole answers of the gate itself, before they are sent."""

from __future__ import annotations

from collections.abc import Collection

from aitbc_server.errors import Code, DomainError, no_such_path
from aitbc_server.gate.decision import Refusal
from aitbc_server.gate.gate import Decision, retry_after_s
from aitbc_server.gate.headers import Headers
from aitbc_server.problem import MEDIA_TYPE, STATUS, encode_problem, www_authenticate

#: Status, headers and body. The headers are the answer's own list: whoever sends it adds to it.
Answer = tuple[int, Headers, bytes]

JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", MEDIA_TYPE.encode())


def problem(error: DomainError, request_id: str) -> Answer:
    """The answer for an error (RFC 9457)."""
    headers: Headers = [_PROBLEM]
    challenge = www_authenticate(error.code)
    if challenge is not None:
        headers.append((b"www-authenticate", challenge.encode()))
    headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
    return STATUS[error.code], headers, encode_problem(error.code, error.detail, request_id, error.errors)


def refused(refusal: Refusal, decision: Decision | None = None) -> DomainError:
    """The error for a refusal, with the time after which trying again makes sense."""
    headers = {}
    if refusal.code is Code.RATE_LIMIT_EXCEEDED and decision is not None and decision.taken is not None:
        headers["retry-after"] = str(retry_after_s(decision.taken))
    elif refusal.code in {Code.TOO_MANY_FAILURES, Code.UNAVAILABLE}:
        headers["retry-after"] = "1"
    return DomainError(refusal.code, refusal.detail, headers=headers)


def unmatched(methods: Collection[str]) -> DomainError:
    """No route takes this request; ``methods`` are those that its path would take."""
    return method_not_allowed(methods) if methods else no_such_path()


def method_not_allowed(methods: Collection[str]) -> DomainError:
    """The path is there, but takes other methods (RFC 9110, 15.5.6). Where it takes GET, it takes HEAD."""
    allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
    detail = f"This path does not take this method. It takes {allowed}."
    return DomainError(Code.METHOD_NOT_ALLOWED, detail, headers={"allow": allowed})


def internal_error() -> DomainError:
    """The last resort (ASVS 16.5.4): the caller learns nothing but the id to quote."""
    return DomainError(Code.INTERNAL_ERROR, "Something went wrong on our side. Quote the request id to the operator.")
