"""``aitbc audit``: the log of changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from aitbc.cli.key_views import KEY_ID
from aitbc.cli.lazy import Group
from aitbc.cli.options import IntRange
from aitbc.cli.output import Cell, note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import MOMENT, before, short

if TYPE_CHECKING:
    from aitbc.schemas.audit import AuditEvent

COLUMNS = ("TIME", "ACTOR", "ACTION", "TARGET", "ADDRESS")


@click.group(cls=Group)
def audit() -> None:
    """Show who changed what."""


@audit.command("list")
@click.option("--action", metavar="NAME", help="Only this action, such as api_key.revoked.")
@click.option("--actor", metavar="ID", help="Only what this key or person did.")
@click.option("--key-id", type=KEY_ID, metavar="KEY_ID", help="Only what was done to this key.")
@click.option("--from", "from_", type=MOMENT, metavar="WHEN", help="The start: RFC 3339, or 7d for 7 days ago.")
@click.option("--to", type=MOMENT, metavar="WHEN", help="The end, not included.")
@click.option("--limit", type=IntRange(min=1), default=50, show_default=True, metavar="N", help="At most so many.")
@pass_settings
def list_events(
    settings: Settings,
    action: str | None,
    actor: str | None,
    key_id: str | None,
    from_: datetime | timedelta | None,
    to: datetime | timedelta | None,
    limit: int,
) -> None:
    """List changes, newest first. `--output json` shows what was before and after each."""
    now = settings.clock()
    with settings.client() as client:
        found = client.audit.list(
            action=action,
            actor=actor,
            key_id=key_id,
            from_=before(now, from_),
            to=before(now, to),
            limit=min(limit, 100),
        )
        events = list(islice(found, limit))
    if settings.json:
        print_json(events)
    elif events:
        print_table(settings, COLUMNS, [_row(event) for event in events], wrap={"ACTOR", "ACTION", "TARGET"})
    if len(events) == limit:
        note(f"the newest {limit} are shown; --limit shows more")
    elif not events:
        note("no changes")


def _row(event: AuditEvent) -> list[Cell]:
    actor = event.actor.name or event.actor.id or event.actor.type
    return [short(event.time), actor, event.action, event.target.id, event.client_ip or "-"]
