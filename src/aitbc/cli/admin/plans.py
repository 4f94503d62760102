"""``aitbc admin create-plan, list-plans, update-plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitbc.cli.admin.operate import operate, operator
from aitbc.cli.lazy import Command
from aitbc.cli.options import IntRange
from aitbc.cli.output import note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc.schemas.tenants import Plan

# Whose audit log tells of plans: they concern no single tenant.
_LOG = "operator"


@click.command("create-plan", cls=Command)
@click.option("--id", "plan_id", required=True, metavar="ID", help="Its slug: lower case letters, digits, hyphens.")
@click.option("--limit-per-minute", type=IntRange(min=1), required=True, metavar="N", help="Requests in any 60 s.")
@click.option("--name", metavar="NAME", help="Its name for people. [default: the id]")
@pass_settings
def create_plan(settings: Settings, /, plan_id: str, limit_per_minute: int, name: str | None) -> None:
    """Add a plan beside free, pro and enterprise."""
    operate(
        settings,
        lambda it: it.plans.create(operator("create-plan", _LOG), plan_id, limit_per_minute, name),
        lambda plan: _show(settings, plan, "Created the plan"),
        creates=True,
    )


@click.command("update-plan", cls=Command)
@click.argument("plan_id", metavar="PLAN")
@click.option("--limit-per-minute", type=IntRange(min=1), metavar="N", help="Requests in any 60 s.")
@click.option("--name", metavar="NAME", help="A new name.")
@pass_settings
def update_plan(settings: Settings, /, plan_id: str, limit_per_minute: int | None, name: str | None) -> None:
    """Change a plan, for all tenants that have it."""
    if limit_per_minute is None and name is None:
        raise click.UsageError("nothing to change: name at least one option")
    operate(
        settings,
        lambda it: it.plans.update(
            operator("update-plan", _LOG), plan_id, limit_per_minute=limit_per_minute, name=name
        ),
        lambda plan: _show(settings, plan, "Changed the plan"),
    )


@click.command("list-plans", cls=Command)
@pass_settings
def list_plans(settings: Settings) -> None:
    """List all plans."""
    operate(settings, lambda it: it.plans.list(), lambda plans: _list(settings, plans))


def _show(settings: Settings, plan: Plan, done: str) -> None:
    if settings.json:
        print_json(plan)
    else:
        note(f"{done} {plan.id}: {plan.limit_per_minute} requests in any 60 s.")


def _list(settings: Settings, plans: list[Plan]) -> None:
    if settings.json:
        print_json(plans)
    else:
        rows = [[plan.id, plan.name, str(plan.limit_per_minute)] for plan in plans]
        print_table(settings, ("PLAN", "NAME", "A MINUTE"), rows, wrap={"NAME"})
