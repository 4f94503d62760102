"""What to do about each error that the server answers with."""

from __future__ import annotations

import os

from aitbc import keyformat
from aitbc.cli.settings import Settings
from aitbc.exceptions import APIStatusError, RateLimitError

# What is wrong with a key of `aitbc login` that another one puts right.
_ENDED = frozenset({"revoked_api_key", "expired_api_key", "invalid_api_key"})

_BY_CODE = {
    "revoked_api_key": "a revoked key never works again: generate a new one on the dashboard, or with another key "
    "`aitbc api-keys create`",
    "expired_api_key": "whoever may change this tenant's keys can give it more time: "
    "`aitbc api-keys update KEY_ID --expires 90d`",
    "disabled_api_key": "whoever may change this tenant's keys can enable it: `aitbc api-keys update KEY_ID --enable`",
    "insufficient_scope": "`aitbc whoami` shows what this key may do; use one that may do this",
    "tenant_suspended": "the operator of this server suspended the tenant; ask them",
    "ip_not_allowed": "this key works from its allowed addresses only; `aitbc api-keys update KEY_ID --allowed-ip` "
    "changes them",
    "ambiguous_credentials": "send one API key only",
}


def remedy(error: APIStatusError, settings: Settings) -> str | None:
    """One line that says what to do about ``error``, or None."""
    if error.code == "too_many_failures":
        # The error says to wait; why this key may be one of the wrong ones is more.
        return _wrong_key(settings) if settings.key else None
    if isinstance(error, RateLimitError):
        return _try_again(error)
    if error.code == "missing_api_key":
        return "`aitbc login` signs you in; or export AITBC_API_KEY=... (from the dashboard, or from `aitbc dev`)"
    if settings.key_is_of_profile and error.code in _ENDED:
        return f"`{_login(settings)}` signs you in again"
    if error.code == "invalid_api_key":
        return _wrong_key(settings)
    if error.code == "tenant_mismatch":
        source = _without_tenant(settings)
        return f"this key does not act for that tenant: {source}, or use a key of that tenant"
    if error.code == "not_ready":
        return f"`aitbc jobs wait {settings.job_id or 'JOB_ID'}` waits for it"
    if error.code == "not_found":
        return (
            "a key sees only what is its tenant's and of its own environment, live or test; `aitbc whoami` shows both"
        )
    return _BY_CODE.get(error.code or "")


def _login(settings: Settings) -> str:
    """The command that gives the profile in use another key."""
    from aitbc.cli.profiles import DEFAULT_PROFILE

    name = settings.profile_name
    return "aitbc login" if name == DEFAULT_PROFILE else f"aitbc login --profile {name}"


def _without_tenant(settings: Settings) -> str:
    if settings.tenant is not None:
        return "leave out --tenant"
    if os.environ.get("AITBC_TENANT_ID"):
        return "unset AITBC_TENANT_ID"
    return f"change the profile {settings.profile_name}"


def _try_again(error: RateLimitError) -> str:
    wait = error.retry_after
    when = f"in {wait} s" if wait is not None else "in a minute"
    return f"try again {when}; `aitbc whoami` shows the limits"


def _wrong_key(settings: Settings) -> str:
    key = settings.key or ""
    source = settings.key_source
    if keyformat.has_prefix(key) and keyformat.parse(key) is None:
        return (
            f"the key from {source} is mistyped or cut off: it should have {keyformat.KEY_LENGTH} characters "
            f"and has {len(key)}"
            if len(key) != keyformat.KEY_LENGTH
            else f"the key from {source} is mistyped: its checksum is wrong"
        )
    return f"the key comes from {source}; is it one of the server at {settings.url}?"
