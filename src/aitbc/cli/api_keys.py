"""``aitbc api-keys``: see and make keys. Changing them is in ``key_changes.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli import key_changes
from aitbc.cli.errors import CommandError
from aitbc.cli.key_views import KEY_ID, LIST_COLUMNS, detail_rows, is_old, list_row, own_key_id
from aitbc.cli.lazy import Group
from aitbc.cli.options import JSON_OBJECT, key_properties
from aitbc.cli.output import note, print_details, print_json, print_table
from aitbc.cli.reporting import say_hint
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import MOMENT, after
from aitbc.cli.usage import print_usage, usage_options
from aitbc.schemas.scopes import Environment, Preset

if TYPE_CHECKING:
    from aitbc import AITBCClient
    from aitbc.schemas.api_keys import ApiKey

STATUSES = ("active", "disabled", "expired", "revoked")


@click.group(name="api-keys", cls=Group)
def api_keys() -> None:
    """Create, list, regenerate and revoke API keys."""


@api_keys.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only keys of this status.")
@click.option(
    "--environment",
    type=click.Choice([one.value for one in Environment]),
    help="Only keys of this environment.",
)
@click.option("-q", "--query", metavar="TEXT", help="Only keys whose name or id holds this text.")
@pass_settings
def list_keys(settings: Settings, /, status: str | None, environment: str | None, query: str | None) -> None:
    """List the tenant's keys, newest first.

    A key without the scope api_keys:read sees only itself. Secrets older than 90 days are marked OLD.
    """
    with settings.client() as client:
        keys = list(client.api_keys.list(status=status, environment=environment, q=query))
        alone = _sees_only_itself(client, settings, keys)
    now = settings.clock()
    if settings.json:
        print_json(keys)
    elif keys:
        print_table(settings, LIST_COLUMNS, [list_row(key, now) for key in keys], wrap={"NAME"})
    else:
        note("no keys")
    if alone:
        note("This key sees only itself: it does not have the scope api_keys:read.")
    old = [key.id for key in keys if is_old(key, now)]
    if old:
        them = "a secret is" if len(old) == 1 else f"{len(old)} secrets are"
        say_hint(
            settings, f"{them} older than 90 days; `aitbc api-keys regenerate {old[0]} --grace 24h` makes a new one"
        )


def _sees_only_itself(client: AITBCClient, settings: Settings, keys: Sequence[ApiKey]) -> bool:
    """Whether the caller may see no other key. Asks the server only if the list itself does not tell."""
    if len(keys) > 1:
        return False
    own_id = own_key_id(settings.key)
    if keys and keys[0].id == own_id:
        me = keys[0]
    elif keys and own_id:
        return False
    else:
        me = client.api_keys.self().key
    return "api_keys:read" not in me.scopes


@api_keys.command("get")
@click.argument("key_id", type=KEY_ID)
@pass_settings
def get_key(settings: Settings, /, key_id: str) -> None:
    """Show everything about a key but its secret."""
    with settings.client() as client:
        show_key(settings, client.api_keys.get(key_id))


def show_key(settings: Settings, key: ApiKey) -> None:
    """Print one key, without a secret."""
    if settings.json:
        print_json(key)
    else:
        print_details(settings, detail_rows(key, settings.clock()))


@api_keys.command("create")
@click.argument("name", required=False)
@click.option("--name", "name_option", metavar="NAME", help="The same as the argument NAME.")
@click.option(
    "--environment",
    type=click.Choice([one.value for one in Environment]),
    help="live or test. [default: that of the key in use]",
)
@click.option(
    "--preset",
    type=click.Choice([one.value for one in Preset]),
    help="A named set of scopes. [default: client]",
)
@key_properties
@click.option("--expires", type=MOMENT, metavar="WHEN", help="90d, or an RFC 3339 time. [default: never]")
@click.option("--metadata", type=JSON_OBJECT, metavar="JSON", help="A JSON object of your own, up to 16 KiB.")
@click.option("--idempotency-key", metavar="TEXT", help="The same text again makes no second key, for 24 hours.")
@pass_settings
def create_key(
    settings: Settings,
    /,
    name: str | None,
    name_option: str | None,
    environment: str | None,
    preset: str | None,
    scopes: tuple[str, ...],
    expires: datetime | timedelta | None,
    allowed_ips: tuple[str, ...],
    limit_per_minute: int | None,
    metadata: dict[str, Any] | None,
    idempotency_key: str | None,
) -> None:
    """Create a key called NAME and print it, once.

    The key alone goes to standard output, so that KEY=$(aitbc api-keys create ci) works. It is stored
    nowhere: whoever loses it regenerates it.

    \b
    Presets:
      client   submit jobs, read them and the usage
      miner    run jobs, see the miners
      manager  all but verifying keys for other services
      gateway  verify keys for other services
    """
    if (name is None) == (name_option is None):
        raise click.UsageError("give the key one name: `aitbc api-keys create NAME`")
    if preset and scopes:
        raise click.UsageError("--preset and --scope exclude each other: a preset is a set of scopes")
    with settings.client() as client:
        key = client.api_keys.create(
            name=name if name is not None else name_option or "",
            environment=environment,
            preset=preset,
            scopes=scopes or None,
            expires_at=after(settings.clock(), expires),
            allowed_ips=allowed_ips,
            limit_per_minute=limit_per_minute,
            metadata=metadata,
            idempotency_key=idempotency_key,
        )
    if isinstance(key.key, str):
        note(f"Created {key.id} ({key.name}, {key.environment}): {' '.join(key.scopes)}")
    elif not settings.json:
        raise CommandError(
            f"{key.id} was created by an earlier call with this idempotency key, and its secret was shown then",
            hint=f"`aitbc api-keys regenerate {key.id}` gives it a new secret",
        )
    key_changes.show_secret(settings, key)


@api_keys.command("usage")
@click.argument("key_id", type=KEY_ID)
@pass_settings
@usage_options
def key_usage(settings: Settings, /, key_id: str, **query: Any) -> None:
    """Show how many requests with this key were allowed and refused."""
    with settings.client() as client:
        print_usage(settings, client.api_keys.usage(key_id, **query))


for _command in (key_changes.update_key, key_changes.revoke_key, key_changes.regenerate_key):
    api_keys.add_command(_command)
