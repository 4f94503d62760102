"""The form of an API key: what it holds at first, and what is made of what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

import msgspec

from aitbc.schemas.api_keys import ApiKey, CreateApiKey, UpdateApiKey
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import permissions, words
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.dashboard.forms import Form
from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.validation import field_error

#: In place of a preset: single scopes were chosen.
CUSTOM = "custom"

# What the choice of an expiry may be, beside a number of days.
_KEEP, _NEVER, _ON_A_DATE = "keep", "never", "date"
_DAYS = (30, 90, 365)
_END_OF_DAY = time(23, 59, 59, 999_000, tzinfo=UTC)

Wanted = TypeVar("Wanted")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a key was when its form was shown, in the form's own words. The form brings it along."""

    name: str
    scopes: list[str]
    expires_at: str | None
    allowed_ips: list[str]
    limit_per_minute: int | None

    @classmethod
    def of(cls, key: ApiKey) -> Shown:
        """What a key is now."""
        return cls(
            name=key.name,
            scopes=list(key.scopes),
            expires_at=None if key.expires_at is None else from_ms(to_ms(key.expires_at)).text(),
            allowed_ips=key.allowed_ips,
            limit_per_minute=key.limit_per_minute,
        )

    @classmethod
    def read(cls, form: Form) -> Shown:
        """What a form brought along. Raises ``bad_request``."""
        try:
            return msgspec.json.decode(form.text("shown"), type=cls)
        except msgspec.DecodeError as error:
            raise DomainError(Code.BAD_REQUEST, "The form is not complete. Go back, and reload the page.") from error


def choices(actor: Actor) -> dict[str, Any]:
    """What the actor may choose from: nothing is offered that would be refused."""
    grantable = permissions.grantable(actor)
    return {
        "presets": {each: text for each, text in words.PRESETS.items() if PRESET_SCOPES[each] <= grantable},
        "scopes": {each: text for each, text in words.SCOPES.items() if each in grantable},
        "environments": list(Environment),
        "days": _DAYS,
    }


def blank() -> Form:
    """A new key's form: live, for a client, for ever."""
    fields = {"environment": Environment.LIVE, "access": Preset.CLIENT, "expires_at": _NEVER}
    return Form(fields.items())


def filled(key: ApiKey) -> Form:
    """A form that holds what a key is."""
    fields = [
        ("name", key.name),
        ("expires_at", _NEVER if key.expires_at is None else _KEEP),
        ("allowed_ips", "\n".join(key.allowed_ips)),
        ("limit_per_minute", "" if key.limit_per_minute is None else str(key.limit_per_minute)),
        *(("scopes", scope) for scope in key.scopes),
        ("shown", msgspec.json.encode(Shown.of(key)).decode()),
    ]
    return Form(fields)


def to_create(form: Form, at: Timestamp) -> CreateApiKey:
    """The key that was asked for. Raises ``validation_error``."""
    access = form.line("access")
    scopes: dict[str, Any] = {"scopes": _scopes(form)} if access == CUSTOM else {"preset": access or None}
    return _checked(
        {**_common(form), **scopes, "environment": form.line("environment") or None, "expires_at": _expiry(form, at)},
        CreateApiKey,
    )


def to_update(form: Form, at: Timestamp) -> UpdateApiKey:
    """The change that was asked for: what differs from the key as it was shown. Raises ``validation_error``.

    What somebody else changed in the meantime stays, where this form does not change the same: a page that was open for
    long must not give a key back what was taken from it. Raises ``bad_request``.
    """
    shown = msgspec.structs.asdict(Shown.read(form))
    wanted = {**_common(form), "scopes": _scopes(form)}
    if form.line("expires_at") != _KEEP:
        wanted["expires_at"] = _expiry(form, at)
    return _checked({field: value for field, value in wanted.items() if value != shown[field]}, UpdateApiKey)


def _common(form: Form) -> dict[str, Any]:
    name = form.line("name")
    if not name:
        raise invalid("name", "is missing; say what the key is for")
    return {
        "name": name,
        "allowed_ips": form.lines("allowed_ips"),
        "limit_per_minute": form.integer("limit_per_minute"),
    }


def _scopes(form: Form) -> list[str]:
    chosen = set(form.list("scopes"))
    if not chosen:
        raise invalid("scopes", "choose at least one")
    # In the order that keys are shown in; what is unknown stays, and is refused.
    return [*(scope for scope in Scope if scope in chosen), *sorted(chosen - set(Scope))]


def _expiry(form: Form, at: Timestamp) -> str | None:
    """As the API takes it: RFC 3339."""
    choice = form.line("expires_at") or _NEVER
    if choice == _NEVER:
        return None
    if choice == _ON_A_DATE:
        return _end_of(form.line("expires_on"))
    if choice not in map(str, _DAYS):
        raise invalid("expires_at", "must be one of those in the list")
    return from_ms(to_ms(at + timedelta(days=int(choice)))).text()


def _end_of(day: str) -> str:
    try:
        return datetime.combine(date.fromisoformat(day), _END_OF_DAY).isoformat()
    except ValueError:
        raise invalid("expires_at", "needs a date such as 2030-01-31") from None


def _checked(values: Mapping[str, Any], wanted: type[Wanted]) -> Wanted:
    """The values as the API itself would take them. Raises ``validation_error`` with the field."""
    try:
        return msgspec.convert(dict(values), wanted)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), wanted)
        # The form's own name for it.
        raise invalid({"preset": "access"}.get(wrong.field, wrong.field), wrong.message) from error
