"""``aitbc admin create-key``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from aitbc.cli.admin.operate import operate, operator
from aitbc.cli.key_changes import show_secret
from aitbc.cli.lazy import Command
from aitbc.cli.output import note
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import MOMENT, after
from aitbc.schemas.scopes import Environment, Preset

if TYPE_CHECKING:
    from aitbc.schemas.api_keys import ApiKeyWithSecret
    from aitbc_server.serving.installation import Installation


@click.command("create-key", cls=Command)
@click.option("--tenant", "tenant_id", metavar="ID", help="Whose key it is.")
@click.option(
    "--preset", type=click.Choice([preset.value for preset in Preset]), help="What it may do. [default: client]"
)
@click.option("--environment", type=click.Choice([each.value for each in Environment]), help="[default: live]")
@click.option("--name", metavar="NAME", help="Its name for people. [default: after what it may do]")
@click.option(
    "--also-tenant", "also", multiple=True, metavar="ID", help="A further tenant it may act for; may be repeated."
)
@click.option("--expires", type=MOMENT, metavar="WHEN", help="90d (from now), or an RFC 3339 time. [default: never]")
@click.option("--gateway", is_flag=True, help="A key that checks the keys of all tenants, for a proxy or service.")
@pass_settings
def create_key(
    settings: Settings,
    /,
    tenant_id: str | None,
    preset: str | None,
    environment: str | None,
    name: str | None,
    also: tuple[str, ...],
    expires: datetime | timedelta | None,
    gateway: bool,
) -> None:
    """Create an API key and print it, once.

    The key alone goes to standard output. A tenant's first key has the preset manager: it makes the others.
    """
    from aitbc.schemas.api_keys import CreateApiKey

    if gateway and (tenant_id or also or preset not in {None, Preset.GATEWAY}):
        raise click.UsageError("--gateway goes without --tenant, --preset and --also-tenant: it is the operators' own")
    if not gateway and tenant_id is None:
        raise click.UsageError("missing option --tenant; or --gateway for a key that checks the keys of all tenants")
    chosen = Preset.GATEWAY if gateway else Preset(preset or Preset.CLIENT)
    wanted = CreateApiKey(
        name=name if name is not None else "gateway" if gateway else f"{tenant_id} {chosen}",
        environment=Environment(environment or Environment.LIVE),
        preset=chosen,
        expires_at=after(settings.clock(), expires),
    )

    async def work(installation: Installation) -> ApiKeyWithSecret:
        actor = operator("create-key", tenant_id or _operators())
        if gateway:
            await installation.tenants.ensure_operator_tenant(actor)
        return await installation.api_keys.create(actor, wanted, tenant_ids=also, verifies_all=gateway)

    # A gateway's key is the operators', who are always there; any other needs a tenant.
    operate(settings, work, lambda key: _show(settings, key), creates=gateway)


def _operators() -> str:
    from aitbc_server.tenants.service import OPERATOR_TENANT

    return OPERATOR_TENANT


def _show(settings: Settings, key: ApiKeyWithSecret) -> None:
    note(f"Created {key.id} ({key.name}) for the tenant {key.tenant_id}: {key.environment}, {key.preset}.")
    show_secret(settings, key)
