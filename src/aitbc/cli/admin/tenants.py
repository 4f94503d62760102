"""``aitbc admin create-tenant, list-tenants, set-plan, suspend-tenant, resume-tenant``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitbc.cli.admin.operate import operate, operator
from aitbc.cli.lazy import Command
from aitbc.cli.output import Cell, Styled, note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import relative

if TYPE_CHECKING:
    from aitbc.schemas.tenants import Tenant


@click.command("create-tenant", cls=Command)
@click.option("--id", "tenant_id", required=True, metavar="ID", help="Its slug: lower case letters, digits, hyphens.")
@click.option("--plan", required=True, metavar="PLAN", help="Its plan, such as free, pro or enterprise.")
@click.option("--name", metavar="NAME", help="Its name for people. [default: the id]")
@pass_settings
def create_tenant(settings: Settings, /, tenant_id: str, plan: str, name: str | None) -> None:
    """Create a tenant, the owner of keys and jobs, on a plan."""
    operate(
        settings,
        lambda it: it.tenants.create(operator("create-tenant", tenant_id), plan, name),
        lambda tenant: _show(settings, tenant, f"Created the tenant {tenant.id}, plan {tenant.plan}."),
        creates=True,
    )


@click.command("list-tenants", cls=Command)
@pass_settings
def list_tenants(settings: Settings) -> None:
    """List all tenants."""
    operate(settings, lambda it: it.tenants.list(), lambda tenants: _list(settings, tenants))


@click.command("set-plan", cls=Command)
@click.argument("tenant_id", metavar="TENANT")
@click.argument("plan")
@pass_settings
def set_plan(settings: Settings, /, tenant_id: str, plan: str) -> None:
    """Give a tenant another plan.

    What it was let do in the last 60 seconds counts against the new limit.
    """
    operate(
        settings,
        lambda it: it.tenants.set_plan(operator("set-plan", tenant_id), plan),
        lambda tenant: _show(settings, tenant, f"The tenant {tenant.id} has the plan {tenant.plan}."),
    )


@click.command("suspend-tenant", cls=Command)
@click.argument("tenant_id", metavar="TENANT")
@pass_settings
def suspend_tenant(settings: Settings, /, tenant_id: str) -> None:
    """Refuse all keys of a tenant, from now on."""
    operate(
        settings,
        lambda it: it.tenants.suspend(operator("suspend-tenant", tenant_id)),
        lambda tenant: _show(settings, tenant, f"The tenant {tenant.id} is suspended: all its keys are refused."),
    )


@click.command("resume-tenant", cls=Command)
@click.argument("tenant_id", metavar="TENANT")
@pass_settings
def resume_tenant(settings: Settings, /, tenant_id: str) -> None:
    """Let the keys of a suspended tenant work again."""
    operate(
        settings,
        lambda it: it.tenants.resume(operator("resume-tenant", tenant_id)),
        lambda tenant: _show(settings, tenant, f"The tenant {tenant.id} is active: its keys work."),
    )


def _show(settings: Settings, tenant: Tenant, words: str) -> None:
    if settings.json:
        print_json(tenant)
    else:
        note(words)


def _list(settings: Settings, tenants: list[Tenant]) -> None:
    if settings.json:
        print_json(tenants)
    elif tenants:
        rows = [_row(settings, tenant) for tenant in tenants]
        print_table(settings, ("TENANT", "NAME", "PLAN", "STATUS", "CREATED"), rows, wrap={"NAME"})
    else:
        note("no tenants; `aitbc admin create-tenant --id ID --plan PLAN` creates one")


def _row(settings: Settings, tenant: Tenant) -> list[Cell]:
    status = Styled(tenant.status, "green" if tenant.status == "active" else "yellow")
    return [tenant.id, tenant.name, tenant.plan, status, relative(tenant.created_at, settings.clock())]
