"""The form of an API key: what it holds at first, and what is made of what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

import msgspec

from aitbc.schemas.api_keys import ApiKey, CreateApiKey, UpdateApiKey
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import fields, permissions, words
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.dashboard.excerpts import in_a_line
from aitbc_server.dashboard.forms import Form
from aitbc_server.errors import Code, DomainError, Faults, invalid
from aitbc_server.field_words import sentence
from aitbc_server.names import check_name
from aitbc_server.validation import field_error

#: In place of a preset: single scopes were chosen.
CUSTOM = "custom"

# What the choice of an expiry may be, beside a number of days.
_KEEP, _NEVER, _ON_A_DATE = "keep", "never", "date"
_DAYS = (30, 90, 365)
_END_OF_DAY = time(23, 59, 59, 999_000, tzinfo=UTC)

# Of so many wrong addresses it is said what is wrong about each.
_SHOWN_FAULTS, _MAX_ADDRESS = 3, 50

Wanted = TypeVar("Wanted")
_Readers = dict[str, Callable[[], Any]]


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


def to_create(form: Form, at: Timestamp, plan_limit: int) -> CreateApiKey:
    """The key that was asked for, at most with ``plan_limit`` requests a minute.

    Raises ``validation_error`` with every field that is wrong.
    """
    readers: _Readers = {
        "name": lambda: _name(form),
        "environment": lambda: form.line("environment") or None,
        "preset": lambda: form.line("access") or None,
        "expires_at": lambda: _expiry(form, at),
        **_limits(form),
    }
    if form.line("access") == CUSTOM:
        readers["preset"], readers["scopes"] = lambda: None, lambda: _scopes(form)
    return _read(readers, CreateApiKey, plan_limit)


def to_update(form: Form, at: Timestamp, plan_limit: int) -> UpdateApiKey:
    """The change that was asked for: what differs from the key as it was shown. Raises as ``to_create`` does.

    What somebody else changed in the meantime stays, where this form does not change the same: a page that was open for
    long must not give a key back what was taken from it. Raises ``bad_request``.
    """
    readers: _Readers = {"name": lambda: _name(form), "scopes": lambda: _scopes(form)}
    if form.line("expires_at") != _KEEP:
        readers["expires_at"] = lambda: _expiry(form, at)
    shown = msgspec.structs.asdict(Shown.read(form))
    return _read({**readers, **_limits(form)}, UpdateApiKey, plan_limit, shown)


def _limits(form: Form) -> _Readers:
    return {
        "allowed_ips": lambda: form.lines("allowed_ips"),
        "limit_per_minute": lambda: form.integer("limit_per_minute"),
    }


def _read(readers: _Readers, wanted: type[Wanted], plan_limit: int, shown: Mapping[str, Any] | None = None) -> Wanted:
    """The values as the API itself would take them, but for those that are as they were ``shown``.

    Raises ``validation_error`` with every field that is wrong, in the order of the form.
    """
    faults, values = Faults(), {}
    for field, read in readers.items():
        with faults.collected():
            value = read()
            if shown is None or value != shown[field]:
                _check(field, value, wanted, plan_limit)
                values[field] = value
    faults.raise_all()
    return msgspec.convert(values, wanted)


def _check(field: str, value: Any, wanted: type[Any], plan_limit: int) -> None:
    if field == "allowed_ips":
        _check_addresses(value)
    _check_type(field, value, wanted)
    if field == "name":
        check_name(value)
    if field == "limit_per_minute":
        fields.check_limit(value, plan_limit)


def _name(form: Form) -> str:
    name = form.line("name")
    if not name:
        raise invalid("name", "is missing; say what the key is for")
    return name


def _scopes(form: Form) -> list[str]:
    chosen = set(form.list("scopes"))
    if not chosen:
        raise invalid("scopes", "choose at least one scope")
    # In the order that keys are shown in; what is unknown stays, and is refused.
    return [*(scope for scope in Scope if scope in chosen), *sorted(chosen - set(Scope))]


def _expiry(form: Form, at: Timestamp) -> str | None:
    """As the API takes it: RFC 3339."""
    choice = form.line("expires_at") or _NEVER
    if choice == _NEVER:
        return None
    if choice == _ON_A_DATE:
        return _end_of(form.line("expires_on"), at)
    if choice not in map(str, _DAYS):
        raise invalid("expires_at", "must be one of those in the list")
    return from_ms(to_ms(at + timedelta(days=int(choice)))).text()


def _end_of(day: str, at: Timestamp) -> str:
    try:
        end = datetime.combine(date.fromisoformat(day), _END_OF_DAY)
    except ValueError:
        raise invalid("expires_at", "choose the day after which the key stops") from None
    if end <= at:
        raise invalid("expires_at", "choose a day that is not over yet")
    return end.isoformat()


def _check_type(field: str, value: Any, wanted: type[Any]) -> None:
    """One field by its type; a name is what every new key must have."""
    try:
        msgspec.convert({"name": "any", field: value}, wanted)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), wanted)
        # The form's own name for it.
        raise invalid({"preset": "access"}.get(wrong.field, wrong.field), wrong.message) from error


def _check_addresses(texts: Sequence[str]) -> None:
    """Each wrong one is named by what was typed: lines may hold several, and nobody counts them."""
    wrong = []
    for text in texts:
        try:
            fields.check_allowed_ips([text])
        except DomainError as error:
            wrong.append(sentence("", f"“{in_a_line(text, _MAX_ADDRESS)}” {error.errors[0].message}"))
    if wrong:
        more = len(wrong) - _SHOWN_FAULTS
        rest = [f"{more} more {'is' if more == 1 else 'are'} not right either."] if more > 0 else []
        raise invalid("allowed_ips", " ".join([*wrong[:_SHOWN_FAULTS], *rest]))
