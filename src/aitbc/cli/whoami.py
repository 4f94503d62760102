"""``aitbc whoami``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitbc.cli.lazy import Command
from aitbc.cli.output import Cell, print_details, print_json
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import relative

if TYPE_CHECKING:
    from aitbc.schemas.api_keys import KeySelf


@click.command(cls=Command)
@pass_settings
def whoami(settings: Settings) -> None:
    """Show the key in use: its tenant, plan, limits and scopes.

    It also says where the key came from: the option --api-key, the variable AITBC_API_KEY, or a profile of
    `aitbc login`.
    """
    with settings.client() as client:
        me = client.api_keys.self()
    if settings.json:
        print_json(me)
    else:
        print_details(settings, _rows(me, settings))


def _rows(me: KeySelf, settings: Settings) -> list[tuple[str, Cell]]:
    from aitbc.cli.key_views import identity_rows

    rows: list[tuple[str, Cell]] = [*identity_rows(me.key, settings.clock())]
    rows.append(("Key from", settings.key_source))
    rows.append(("Server", settings.url))
    plan = f", plan {me.tenant.plan}"
    name = f" ({me.tenant.name})" if me.tenant.name != me.tenant.id else ""
    rows.append(("Tenant", f"{me.tenant.id}{name}{plan}"))
    rows.extend(
        (
            f"Limit {limit.name}",
            f"{limit.remaining} of {limit.limit} left in these {limit.window_s} s",
        )
        for limit in me.limits
    )
    rows.append(("Last used", relative(me.key.last_used_at, settings.clock(), none="never")))
    return rows
