"""What a client was told, and what the environment adds to it. Read when a client is made, never before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from aitbc.exceptions import AITBCError, AuthenticationError

DEFAULT_BASE_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Config:
    """A client's settings, complete and checked. ``timeout_s`` None means: wait for ever."""

    api_key: str = field(repr=False)
    base_url: str
    tenant_id: str | None
    timeout_s: float | None
    max_retries: int


def resolve(
    *,
    api_key: str | None,
    base_url: str | None,
    tenant_id: str | None,
    timeout: float | None,
    max_retries: int,
    environ: Mapping[str, str],
) -> Config:
    """The arguments of a client, completed from ``environ``; an empty variable counts as not set.

    Raises AuthenticationError where there is no API key, AITBCError for a base URL that is none, and
    ValueError for a timeout or a number of retries that cannot be.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, or None to wait for ever; got {timeout!r}")
    if max_retries < 0:
        raise ValueError(f"max_retries must be 0 or more; got {max_retries!r}")
    return Config(
        api_key=_api_key(api_key, environ),
        base_url=_base_url(base_url, environ),
        # An empty tenant that was passed on purpose is sent, and refused: taking it for "the key's own"
        # would read another tenant's data than the caller meant.
        tenant_id=tenant_id if tenant_id is not None else environ.get("AITBC_TENANT_ID") or None,
        timeout_s=timeout,
        max_retries=max_retries,
    )


def _api_key(passed: str | None, environ: Mapping[str, str]) -> str:
    key = environ.get("AITBC_API_KEY") if passed is None else passed
    if key:
        return key
    problem = "There is no API key" if passed is None else "The api_key that was passed is empty"
    raise AuthenticationError(
        f'{problem}: set the environment variable AITBC_API_KEY, or pass api_key="aitbc_live_...".',
        code="missing_api_key",
    )


def _base_url(passed: str | None, environ: Mapping[str, str]) -> str:
    if passed is not None:
        return checked_url(passed, "base_url")
    return checked_url(environ.get("AITBC_BASE_URL") or DEFAULT_BASE_URL, "AITBC_BASE_URL")


def checked_url(text: str, source: str) -> str:
    """``text`` without a slash at its end. What is refused may hold a password, so only its kind is told."""
    expected = f"{source} must be an address such as {DEFAULT_BASE_URL}"
    if not text.isprintable() or " " in text:
        raise AITBCError(f"{expected}; it holds a space or a character that no address may hold")
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise AITBCError(f"{expected}: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise AITBCError(f"{expected}; it does not start with http:// or https://")
    if not has_host:
        raise AITBCError(f"{expected}; it names no host, or port 0")
    _refuse_extras(parts, expected)
    return text.rstrip("/")


def _refuse_extras(parts: SplitResult, expected: str) -> None:
    if "@" in parts.netloc:
        raise AITBCError(f"{expected}; it must not hold a user name or password, the API key goes apart")
    if parts.query or parts.fragment:
        raise AITBCError(f"{expected}; it must not hold a query or a fragment (? or #)")
