"""``aitbc usage``: counts of decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli.lazy import Command
from aitbc.cli.options import combined
from aitbc.cli.output import Cell, note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import DURATION, MOMENT, before, short

if TYPE_CHECKING:
    from aitbc.schemas.usage import Usage, UsageSeries

GRANULARITIES = ("minute", "hour", "day")
GROUPINGS = ("key", "outcome", "operation")


def usage_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a usage query; the command gets ``from_, to, granularity, group_by``."""

    @wraps(function)
    def command(
        settings: Settings,
        /,
        *args: Any,
        from_: datetime | timedelta | None,
        to: datetime | timedelta | None,
        last: timedelta | None,
        **kwargs: Any,
    ) -> None:
        if last is not None and not (from_ is None and to is None):
            raise click.UsageError("--last excludes --from and --to")
        now = settings.clock()
        function(settings, *args, from_=before(now, last if from_ is None else from_), to=before(now, to), **kwargs)

    return combined(
        click.option("--from", "from_", type=MOMENT, metavar="WHEN", help="The start: RFC 3339, or 7d for 7 days ago."),
        click.option("--to", type=MOMENT, metavar="WHEN", help="The end, not included. [default: now]"),
        click.option("--last", type=DURATION, metavar="DURATION", help="The time up to now, such as 24h."),
        click.option("--granularity", type=click.Choice(GRANULARITIES), help="The time that each line covers."),
        click.option("--group-by", type=click.Choice(GROUPINGS), help="Count each of these by itself."),
    )(command)


@click.command(cls=Command)
@pass_settings
@usage_options
def usage(settings: Settings, /, **query: Any) -> None:
    """Show how many requests were allowed and refused.

    These are all of the tenant's, in the key's environment. Without the scope usage:read a key sees its own:
    `aitbc api-keys usage KEY_ID`.
    """
    with settings.client() as client:
        print_usage(settings, client.usage.get(**query))


def print_usage(settings: Settings, answer: Usage) -> None:
    """The counts, a line for each interval and group, and the totals."""
    if settings.json:
        print_json(answer)
        return
    rows = sorted(_rows(answer.series))
    if not rows:
        note(f"no requests from {short(answer.from_)} to {short(answer.to)}")
        return
    group = any(name for _, name, _ in rows)
    columns = [answer.granularity.upper(), *(["GROUP"] if group else []), "COUNT"]
    cells: list[list[Cell]] = [[short(moment), *([name] if group else []), str(count)] for moment, name, count in rows]
    print_table(settings, columns, cells, wrap={"GROUP"})
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(answer.totals.outcomes.items()))
    note(f"{answer.totals.total} in all, {answer.totals.allowed} allowed, {answer.totals.refused} refused ({outcomes})")


def _rows(series: list[UsageSeries]) -> Iterator[tuple[datetime, str, int]]:
    for one in series:
        name = next((value for value in (one.key_id, one.outcome, one.operation) if isinstance(value, str)), "")
        for moment, count in one.points:
            yield moment, name, count
