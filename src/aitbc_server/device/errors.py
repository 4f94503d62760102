"""What the device's endpoints answer when there is no key (RFC 6749, section 5.2; RFC 8628, section 3.5)."""

from __future__ import annotations

from enum import StrEnum


class OAuthCode(StrEnum):
    """Every error code of the two endpoints."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    AUTHORIZATION_PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    ACCESS_DENIED = "access_denied"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of an error
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


class OAuthError(Exception):
    """No key: ``code`` for programs, ``description`` for people. ``retry_after_s``: after which to try again."""

    def __init__(
        self, code: OAuthCode, description: str, *, status: int = 400, retry_after_s: int | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status
        self.retry_after_s = retry_after_s
