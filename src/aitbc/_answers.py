"""An HTTP answer in, an object or an exception out. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from aitbc._call import Call, Reply
from aitbc.exceptions import (
    AITBCError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from aitbc.schemas.problem import FieldError

T = TypeVar("T")

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}
#: How much of a stranger's error page is looked at, and shown.
_PAGE_LOOKED_AT = 2000
_PAGE_SHOWN = 200


def read(call: Call[T], reply: Reply) -> T:
    """The object of a 2xx answer. Raises AITBCError where the body is not of the promised shape."""
    content = b"null" if reply.status == HTTPStatus.NO_CONTENT else reply.body
    try:
        return msgspec.json.decode(content, type=call.answer)
    except (ValueError, RecursionError) as error:
        expected = getattr(call.answer, "__name__", str(call.answer))
        raise AITBCError(
            f"{call.method} {call.path} was answered {reply.status} with a body that is no {expected} "
            f"({error}). Is the base URL (AITBC_BASE_URL) that of an AITBC server?"
        ) from error


def error(reply: Reply) -> APIStatusError:
    """The exception for an answer that is not 2xx, whoever wrote it: the server, or a proxy before it."""
    fields = _problem(reply.body)
    kind = ServerError if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIStatusError
    return _BY_STATUS.get(reply.status, kind)(
        _text(fields, "detail") or _text(fields, "title") or _strangers_detail(reply),
        status=reply.status,
        code=_text(fields, "code"),
        request_id=_text(fields, "request_id") or reply.headers.get("x-request-id"),
        headers=reply.headers,
        errors=_field_errors(fields.get("errors")),
    )


def retry_after_s(reply: Reply) -> float | None:
    """Seconds from ``Retry-After`` (RFC 9110, section 10.2.3), or None where there is none to be read.

    A date is taken relative to the answer's own ``Date``, so that this machine's clock may be wrong.
    """
    from email.utils import parsedate_to_datetime

    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        # No wait of more than nine digits differs from "too long", and int() refuses thousands of them.
        return float(value[:10])
    try:
        then, now = parsedate_to_datetime(value), parsedate_to_datetime(reply.headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _problem(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _field_errors(errors: object) -> list[FieldError]:
    try:
        return msgspec.convert(errors, list[FieldError])
    except msgspec.ValidationError:
        return []


def _strangers_detail(reply: Reply) -> str:
    """A sentence for an answer that is not in our error shape."""
    try:
        reason = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        reason = str(reply.status)
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        target = reply.headers.get("location", "another address")
        return (
            f"{reason}: the server points to {target}. Redirects are not followed, because the API key must "
            "not go where it was not meant to: set AITBC_BASE_URL to the right address."
        )
    page = reply.body[:_PAGE_LOOKED_AT].decode(errors="replace")
    words = " ".join(re.sub(r"<[^>]*>", " ", page).split())[:_PAGE_SHOWN]
    return f"{reason}, answered by something that does not speak as AITBC does: {words or '(empty)'}"
