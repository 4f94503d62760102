"""Every error that the SDK raises.

AITBCError
├── APIConnectionError
│   └── APITimeoutError
│       └── JobTimeoutError     a wait for a job that did not end in time; job
└── APIStatusError              status, code, detail, request_id
    ├── BadRequestError         400
    ├── AuthenticationError     401, or no API key at all
    ├── PermissionDeniedError   403
    ├── NotFoundError           404
    ├── ConflictError           409
    ├── ValidationError         422; errors
    ├── RateLimitError          429; retry_after, limit, remaining
    └── ServerError             5xx
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitbc.schemas.jobs import Job
    from aitbc.schemas.problem import FieldError

_MAX_DIGITS = 18


class AITBCError(Exception):
    """Base of every error of this package."""


class APIConnectionError(AITBCError):
    """No answer came: the server is not there, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """No answer came in time."""


class JobTimeoutError(APITimeoutError):
    """The job was not final in time. It goes on; ``job`` is how it was last seen."""

    def __init__(self, detail: str, *, job: Job | None = None) -> None:
        super().__init__(detail)
        self.job = job


class APIStatusError(AITBCError):
    """The server answered with an error.

    ``status`` is the HTTP status (None where the SDK found the error before it called), ``code`` the stable
    error code, ``detail`` a sentence for people, ``request_id`` what to quote to the operator.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.request_id = request_id
        self.headers: Mapping[str, str] = headers or {}
        self.errors = tuple(errors)


class BadRequestError(APIStatusError):
    """400: the request could not be understood."""


class AuthenticationError(APIStatusError):
    """401: no API key, or one that is wrong, revoked, expired or disabled."""


class PermissionDeniedError(APIStatusError):
    """403: the key is good, but not for this."""


class NotFoundError(APIStatusError):
    """404: no such object, or one of another tenant."""


class ConflictError(APIStatusError):
    """409: the object is not in a state that allows this."""


class ValidationError(APIStatusError):
    """422: ``errors`` names each invalid field."""


class RateLimitError(APIStatusError):
    """429: too many requests. ``retry_after`` is in seconds."""

    @property
    def retry_after(self) -> int | None:
        """Seconds after which one more request is let in, if nobody else of the tenant takes the place."""
        return self._integer("retry-after")

    @property
    def limit(self) -> int | None:
        """The tightest limit that applies, in requests a minute."""
        return self._integer("x-ratelimit-limit")

    @property
    def remaining(self) -> int | None:
        """What is left of the tightest limit."""
        return self._integer("x-ratelimit-remaining")

    def _integer(self, header: str) -> int | None:
        text = self.headers.get(header, "")
        # int() takes digits of every script, and raises for thousands of them: neither is a number of ours.
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


class ServerError(APIStatusError):
    """5xx: the server failed; whether the call took effect is not known."""
