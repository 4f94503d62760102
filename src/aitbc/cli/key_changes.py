"""``aitbc api-keys update, revoke, regenerate``."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli.errors import EXIT_ERROR
from aitbc.cli.key_views import KEY_ID, detail_rows, own_key_id
from aitbc.cli.lazy import Command
from aitbc.cli.options import JSON_OBJECT, key_properties
from aitbc.cli.output import clean, note, print_details, print_json
from aitbc.cli.reporting import say_hint
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import MOMENT, DurationType, after, relative, short
from aitbc.exceptions import APIStatusError

if TYPE_CHECKING:
    from aitbc import AITBCClient
    from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret

# As the server bounds it.
GRACE = DurationType(at_most="7d")


def show_secret(settings: Settings, key: ApiKeyWithSecret) -> None:
    """Print a new secret: the API's object, or the key alone on standard output and words beside it."""
    warn_unconfirmed(key)
    if settings.json:
        print_json(key)
        return
    note("This is the only time that the key is shown. Keep it in a safe place:")
    click.echo(key.key)


def warn_unconfirmed(key: ApiKey) -> None:
    """Say so where a change is stored, but not every node of the server is known to have it yet."""
    if getattr(key, "confirmed", None) is False:
        note("The change is stored, but not yet confirmed by every server: it takes effect there shortly.")


@click.command("update", cls=Command)
@click.argument("key_id", type=KEY_ID)
@click.option("--name", metavar="NAME", help="A new name.")
@click.option("--enable/--disable", "enabled", default=None, help="Let it work again, or stop it for now.")
@key_properties
@click.option("--expires", type=MOMENT, metavar="WHEN", help="90d (from now), or an RFC 3339 time.")
@click.option("--metadata", type=JSON_OBJECT, metavar="JSON", help="Replaces the metadata.")
@click.option("--clear-expiry", is_flag=True, help="Let it never expire.")
@click.option("--clear-allowed-ips", is_flag=True, help="Let it work from any address.")
@click.option("--clear-limit", is_flag=True, help="Remove its own limit; the plan's remains.")
@pass_settings
def update_key(
    settings: Settings,
    /,
    key_id: str,
    expires: datetime | timedelta | None,
    scopes: tuple[str, ...],
    allowed_ips: tuple[str, ...],
    clear_expiry: bool,
    clear_allowed_ips: bool,
    clear_limit: bool,
    **plain: Any,
) -> None:
    """Change a key. What is not named stays; --scope and --allowed-ip replace the whole list."""
    fields = {
        **plain,
        "scopes": list(scopes) or None,
        "allowed_ips": list(allowed_ips) or None,
        "expires_at": after(settings.clock(), expires),
    }
    changes = {field: value for field, value in fields.items() if value is not None}
    for cleared, field, empty, option in (
        (clear_expiry, "expires_at", None, "--expires and --clear-expiry"),
        (clear_allowed_ips, "allowed_ips", [], "--allowed-ip and --clear-allowed-ips"),
        (clear_limit, "limit_per_minute", None, "--limit-per-minute and --clear-limit"),
    ):
        if cleared and field in changes:
            raise click.UsageError(f"{option} exclude each other")
        if cleared:
            changes[field] = empty
    if not changes:
        raise click.UsageError("nothing to change: name at least one option")
    with settings.client() as client:
        key = client.api_keys.update(key_id, **changes)
    warn_unconfirmed(key)
    if settings.json:
        print_json(key)
    else:
        note(f"Changed {key.id}.")
        print_details(settings, detail_rows(key, settings.clock()))


@click.command("revoke", cls=Command)
@click.argument("key_id", type=KEY_ID)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_settings
def revoke_key(settings: Settings, /, key_id: str, yes: bool) -> None:
    """Revoke a key, at once and for ever.

    On a terminal it asks first; in a script it does not. To stop a key for a while, use
    `aitbc api-keys update KEY_ID --disable`.
    """
    with settings.client() as client:
        asks = not yes and sys.stdin.isatty()
        if asks and not click.confirm(_question(client, settings, key_id), err=True):
            note("Nothing was revoked.")
            raise click.exceptions.Exit(EXIT_ERROR)
        key = client.api_keys.revoke(key_id)
    warn_unconfirmed(key)
    if settings.json:
        print_json(key)
    else:
        note(f"Revoked {key.id} ({key.name}).")


def _question(client: AITBCClient, settings: Settings, key_id: str) -> str:
    """What revoking would stop. A key that may not look at the other one can still revoke it."""
    what = key_id
    try:
        key = client.api_keys.get(key_id)
        used = relative(key.last_used_at, settings.clock(), none="never")
        what = f'{key_id} ("{clean(key.name)}", {key.environment}, last used: {used})'
    except APIStatusError as error:
        if error.code not in {"not_found", "insufficient_scope"}:
            raise
    own = own_key_id(settings.key) or client.api_keys.self().key.id
    if own == key_id:
        return f"{what}\nThis is THE KEY IN USE, from {settings.key_source}. Revoke it for ever?"
    return f"{what}\nRevoke it for ever?"


@click.command("regenerate", cls=Command)
@click.argument("key_id", type=KEY_ID)
@click.option(
    "--grace",
    type=GRACE,
    metavar="DURATION",
    help="How long the old secret goes on working, such as 24h; up to 7d. [default: it stops now]",
)
@pass_settings
def regenerate_key(settings: Settings, /, key_id: str, grace: timedelta | None) -> None:
    """Give a key a new secret and print it, once. Its id, name and scopes stay.

    The key alone goes to standard output.
    """
    seconds = int(grace.total_seconds()) if grace else 0
    with settings.client() as client:
        key = client.api_keys.regenerate(key_id, grace_period_seconds=seconds)
    note(f"Regenerated {key.id} ({key.name}).")
    if key.previous_secret:
        until = key.previous_secret.expires_at
        note(f"The old secret works until {short(until)} ({relative(until, settings.clock())}).")
        say_hint(settings, f"`aitbc api-keys get {key.id}` shows when the old secret was last used")
    else:
        note("The old secret has stopped working.")
        say_hint(settings, "`--grace 24h` keeps the old secret working while you roll the new one out")
    if own_key_id(settings.key) == key.id and settings.key_is_of_profile:
        settings.keep_in_profile(str(key.key))
        note(f"It is the key in use: {settings.key_source} has the new one.")
    elif own_key_id(settings.key) == key.id:
        note(f"It is the key in use: put the new one into {settings.key_source}.")
    show_secret(settings, key)
