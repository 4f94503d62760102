"""How API keys are shown: as a line of a table, and one by one."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from aitbc import keyformat
from aitbc.cli.output import Cell, Styled
from aitbc.cli.times import relative, short, span

if TYPE_CHECKING:
    from aitbc.schemas.api_keys import ApiKey

MAX_SECRET_AGE = timedelta(days=90)
LIST_COLUMNS = ("ID", "NAME", "PRESET", "STATUS", "SECRET AGE", "USED", "EXPIRES")

_STATUS_STYLES = {"active": "green", "disabled": "yellow", "expired": "red", "revoked": "red"}
_KEY_TEXT = re.compile(r"aitbc_(?:live|test)_([0-9A-Za-z]{12})(?:_.*)?", re.ASCII | re.DOTALL)


class KeyIdType(click.ParamType):  # type: ignore[type-arg] # no generic in click 8.1
    """A key's id. A whole key, or its masked form, stands for its id: the secret must not travel in an address."""

    name = "key_id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id that ``value`` means."""
        match = _KEY_TEXT.fullmatch(str(value))
        return f"key_{match[1]}" if match else str(value)


KEY_ID = KeyIdType()


def own_key_id(key: str | None) -> str | None:
    """The id of the key in use as its own text tells it; None for foreign keys, which do not tell."""
    parts = keyformat.parse(key or "")
    return f"key_{parts.kid}" if parts else None


def is_old(key: ApiKey, now: datetime) -> bool:
    """Whether the secret of a key that still works is older than 90 days."""
    return key.status == "active" and now - key.secret_created_at > MAX_SECRET_AGE


def list_row(key: ApiKey, now: datetime) -> list[Cell]:
    """The cells of LIST_COLUMNS. All keys of a list are of the caller's environment, which is left out."""
    age = span(now - key.secret_created_at)
    return [
        key.id,
        key.name,
        str(key.preset) if key.preset else f"{len(key.scopes)} scopes",
        _status(key),
        Styled(f"{age} OLD", "yellow") if is_old(key, now) else age,
        relative(key.last_used_at, now, none="never"),
        relative(key.expires_at, now, none="never"),
    ]


def identity_rows(key: ApiKey, now: datetime) -> list[tuple[str, Cell]]:
    """What a key is and may do."""
    return [
        ("Key", key.id),
        ("Name", key.name),
        ("Masked", key.masked),
        ("Environment", str(key.environment)),
        ("Status", _status(key)),
        ("Preset", str(key.preset) if key.preset else "-"),
        ("Scopes", " ".join(key.scopes)),
        ("Secret age", Styled(f"{span(now - key.secret_created_at)} OLD", "yellow"))
        if is_old(key, now)
        else ("Secret age", span(now - key.secret_created_at)),
        ("Expires", _moment(key.expires_at, now)),
    ]


def detail_rows(key: ApiKey, now: datetime) -> list[tuple[str, Cell]]:
    """Everything about a key."""
    used = _moment(key.last_used_at, now)
    if key.last_used_at and key.last_used_ip:
        used += f" from {key.last_used_ip}"
    rows: list[tuple[str, Cell]] = [
        *identity_rows(key, now),
        ("Tenants", " ".join([key.tenant_id, *(name for name in key.tenant_ids if name != key.tenant_id)])),
        ("Created", _moment(key.created_at, now) + (f" by {key.created_by}" if key.created_by else "")),
        ("Last used", used),
        ("Allowed from", " ".join(key.allowed_ips) or "anywhere"),
        ("Own limit", f"{key.limit_per_minute} a minute" if key.limit_per_minute else "-"),
    ]
    if key.previous_secret:
        older = key.previous_secret
        rows.append(("Older secret", f"works until {_moment(older.expires_at, now)}"))
        # Whoever rotates a key watches this: once it stands still, the old secret is used nowhere.
        rows.append(("", f"last used {_moment(older.last_used_at, now)}" if older.last_used_at else "never used"))
    rows.extend((f"metadata.{name}", _json(value)) for name, value in key.metadata.items())
    return rows


def _status(key: ApiKey) -> Cell:
    return Styled(str(key.status), _STATUS_STYLES.get(str(key.status), ""))


def _moment(moment: datetime | None, now: datetime) -> str:
    return f"{short(moment)} ({relative(moment, now)})" if moment else "never"


def _json(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
