"""Domain errors: a stable code, a text for the caller and, where it differs, a text for the log.

HTTP appears only at the edge: ``problem.py`` knows which status a code has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum

from aitbc.schemas.problem import FieldError


class Code(StrEnum):
    """Every error code that the API answers with."""

    BAD_REQUEST = "bad_request"
    AMBIGUOUS_CREDENTIALS = "ambiguous_credentials"
    MISSING_API_KEY = "missing_api_key"
    INVALID_API_KEY = "invalid_api_key"
    REVOKED_API_KEY = "revoked_api_key"
    EXPIRED_API_KEY = "expired_api_key"
    DISABLED_API_KEY = "disabled_api_key"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    TENANT_MISMATCH = "tenant_mismatch"
    TENANT_SUSPENDED = "tenant_suspended"
    IP_NOT_ALLOWED = "ip_not_allowed"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    VALIDATION_ERROR = "validation_error"
    NOT_READY = "not_ready"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    TOO_MANY_FAILURES = "too_many_failures"
    INTERNAL_ERROR = "internal_error"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """Something that the caller is told: ``code`` for programs, ``detail`` for people, ``log`` for the operator."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        log: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(log or detail)
        self.code = code
        self.detail = detail
        self.log = log
        self.errors = list(errors)
        self.headers = dict(headers or {})


def not_found() -> DomainError:
    """The one answer for an object that is not there and for one of another tenant: the same bytes."""
    return DomainError(Code.NOT_FOUND, "There is no such object.")


def no_such_path() -> DomainError:
    """No route takes the path, whoever asks: that tells nothing of what there is."""
    return DomainError(Code.NOT_FOUND, "There is no such path.")


def insufficient_scope(scope: str) -> DomainError:
    """The key is good, but lacks ``scope``."""
    return DomainError(Code.INSUFFICIENT_SCOPE, f"This needs the scope {scope}, which the API key does not have.")


def conflict(detail: str) -> DomainError:
    """The object's state does not allow this."""
    return DomainError(Code.CONFLICT, detail)


def invalid(field: str, message: str) -> DomainError:
    """One field of the request is not valid."""
    return DomainError(Code.VALIDATION_ERROR, f"{field}: {message}", errors=[FieldError(field=field, message=message)])


class Faults:
    """Collects what is wrong about several fields, so that all of it is told at once and not one after the other."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """What is not valid inside is kept; every other error goes on."""
        try:
            yield
        except DomainError as error:
            if error.code is not Code.VALIDATION_ERROR:
                raise
            self._errors += error.errors

    def raise_all(self) -> None:
        """Raise ``validation_error`` with everything that was collected, if there was anything."""
        if self._errors:
            detail = "; ".join(f"{each.field}: {each.message}" for each in self._errors)
            raise DomainError(Code.VALIDATION_ERROR, detail, errors=self._errors)
