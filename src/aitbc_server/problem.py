"""The one error shape on the wire (RFC 9457), and which HTTP status a code has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aitbc.keyformat import redact
from aitbc.schemas.problem import FieldError, Problem
from aitbc_server.errors import Code

MEDIA_TYPE = "application/problem+json"

STATUS: dict[Code, int] = {
    Code.BAD_REQUEST: 400,
    Code.AMBIGUOUS_CREDENTIALS: 400,
    Code.MISSING_API_KEY: 401,
    Code.INVALID_API_KEY: 401,
    Code.REVOKED_API_KEY: 401,
    Code.EXPIRED_API_KEY: 401,
    Code.DISABLED_API_KEY: 401,
    Code.INSUFFICIENT_SCOPE: 403,
    Code.TENANT_MISMATCH: 403,
    Code.TENANT_SUSPENDED: 403,
    Code.IP_NOT_ALLOWED: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.CONFLICT: 409,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.VALIDATION_ERROR: 422,
    Code.NOT_READY: 425,
    Code.RATE_LIMIT_EXCEEDED: 429,
    Code.TOO_MANY_FAILURES: 429,
    Code.INTERNAL_ERROR: 500,
    Code.UNAVAILABLE: 503,
}

TITLES: dict[Code, str] = {
    Code.BAD_REQUEST: "Bad request",
    Code.AMBIGUOUS_CREDENTIALS: "Ambiguous credentials",
    Code.MISSING_API_KEY: "Missing API key",
    Code.INVALID_API_KEY: "Invalid API key",
    Code.REVOKED_API_KEY: "Revoked API key",
    Code.EXPIRED_API_KEY: "Expired API key",
    Code.DISABLED_API_KEY: "Disabled API key",
    Code.INSUFFICIENT_SCOPE: "Insufficient scope",
    Code.TENANT_MISMATCH: "Tenant mismatch",
    Code.TENANT_SUSPENDED: "Tenant suspended",
    Code.IP_NOT_ALLOWED: "Address not allowed",
    Code.NOT_FOUND: "Not found",
    Code.METHOD_NOT_ALLOWED: "Method not allowed",
    Code.CONFLICT: "Conflict",
    Code.PAYLOAD_TOO_LARGE: "Payload too large",
    Code.UNSUPPORTED_MEDIA_TYPE: "Unsupported media type",
    Code.VALIDATION_ERROR: "Validation error",
    Code.NOT_READY: "Not ready",
    Code.RATE_LIMIT_EXCEEDED: "Rate limit exceeded",
    Code.TOO_MANY_FAILURES: "Too many failures",
    Code.INTERNAL_ERROR: "Internal error",
    Code.UNAVAILABLE: "Unavailable",
}


def encode_problem(code: Code, detail: str, request_id: str, errors: Sequence[FieldError] = ()) -> bytes:
    """The body of an error answer.

    It may quote a name that the caller sent. Where that is a whole API key, put in the wrong place, it is masked:
    answers are kept in more places than requests. (ASVS 14.2.6)
    """
    shown = [FieldError(field=redact(each.field), message=redact(each.message)) for each in errors]
    return msgspec.json.encode(
        Problem(
            type=f"urn:aitbc:error:{code}",
            title=TITLES[code],
            status=STATUS[code],
            detail=redact(detail),
            code=code,
            request_id=request_id,
            errors=shown or msgspec.UNSET,
        )
    )


def www_authenticate(code: Code) -> str | None:
    """The challenge that every 401 carries (RFC 6750, section 3): no error parameter when no key was sent."""
    if STATUS[code] != 401:
        return None
    if code is Code.MISSING_API_KEY:
        return 'Bearer realm="aitbc"'
    return f'Bearer realm="aitbc", error="invalid_token", error_description="{TITLES[code]}"'
