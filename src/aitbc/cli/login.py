"""``aitbc login``."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from aitbc.cli.errors import CommandError
from aitbc.cli.key_store import FILE, forget_key, shown, store_key, stored_key
from aitbc.cli.lazy import Command
from aitbc.cli.output import clean, note, print_json
from aitbc.cli.profiles import Profile, load_profile, save_profile
from aitbc.cli.reporting import say_hint, say_warning
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import short

if TYPE_CHECKING:
    from aitbc.schemas.device import DeviceAuthorization, DeviceToken

_PRESETS = ("manager", "client", "miner")
_ENVIRONMENTS = ("live", "test")


@click.command(cls=Command)
@click.option(
    "--preset",
    type=click.Choice(_PRESETS),
    default="manager",
    show_default=True,
    help="What the key may do. On the page you may choose less.",
)
@click.option("--environment", type=click.Choice(_ENVIRONMENTS), help="Suggest this environment on the page.")
@click.option("--no-browser", is_flag=True, help="Only print the address, and open no browser.")
@pass_settings
def login(settings: Settings, /, preset: str, environment: str | None, no_browser: bool) -> None:
    """Sign in: get an API key by your browser, and keep it.

    It prints an address and a code. Open the address in any browser, on this machine or another, enter the code, and
    approve. The key is valid for 90 days and named after this machine. It is kept in the system's keyring where the
    extra `keyring` is installed (pip install 'aitbc[keyring]'), else in a file that only you can read.

    --profile NAME signs in beside what you have: to another server, tenant or environment.
    """
    from aitbc.cli.login_flow import SignIn

    settings.makes_profile = True
    name, url = settings.profile_name, _server(settings)
    before = load_profile(name)
    with SignIn(url) as sign_in:
        begun = sign_in.begin(
            client_name=machine_name(), preset=preset, environment=environment, tenant_id=settings.tenant_id
        )
        _show(settings, begun, opens=not no_browser and _has_browser())
        token = sign_in.wait(begun)
    older = _key_of(before)
    profile = _keep(Profile(name, url, token.api_key.tenant_id, key_id=token.api_key.id), token)
    if before is not None:
        _end_older(settings, before, older, profile)
    _tell(settings, profile, token)
    if settings.json:
        print_json(token.api_key)


def machine_name() -> str:
    """What this machine calls itself, as the server takes it: 1 to 100 characters that can be seen."""
    name = "".join(character for character in socket.gethostname() if character.isprintable())
    return clean(name).strip()[:100] or "command line"


def _server(settings: Settings) -> str:
    """The server to sign in to. Raises CommandError for an address that is none."""
    # Checked as the client will check it, so that what is kept can be used.
    checked = settings.check_url()
    parts = urlsplit(checked)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        say_warning(settings, f"the key travels unencrypted to {checked}; use https:// if the server has it")
    return checked


def _has_browser() -> bool:
    """Whether somebody sits here, with a browser that has a window of its own."""
    if not sys.stderr.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show(settings: Settings, begun: DeviceAuthorization, *, opens: bool) -> None:
    page = begun.verification_uri
    code = click.style(clean(begun.user_code), bold=True) if settings.color else clean(begun.user_code)
    click.echo(f"Open {clean(page)} and enter the code {code}", err=True)
    whole = begun.verification_uri_complete
    if opens and whole.startswith(("https://", "http://")):
        import webbrowser

        if webbrowser.open(whole):
            note("Your browser opens it: compare the code there with this one.")
    note(f"Waiting for you to approve ({begun.expires_in // 60} minutes at most; Ctrl-C gives up) ...")


def _keep(profile: Profile, token: DeviceToken) -> Profile:
    """Keep the key. Where that fails it is revoked: nobody would know of it."""
    assert profile.base_url is not None
    try:
        store = store_key(profile.name, profile.base_url, token.access_token)
        kept = Profile(profile.name, profile.base_url, profile.tenant, store, profile.key_id)
        save_profile(kept)
    except BaseException:
        from aitbc import AITBCClient

        with AITBCClient(token.access_token, profile.base_url, profile.tenant, max_retries=0) as client:
            client.api_keys.revoke(token.api_key.id)
        raise
    return kept


def _key_of(profile: Profile | None) -> str | None:
    """The key that a profile has, where it can be had."""
    if profile is None or profile.key_store is None or profile.base_url is None:
        return None
    try:
        return stored_key(profile.name, profile.base_url, profile.key_store)
    except CommandError:
        return None


def _end_older(settings: Settings, before: Profile, older: str | None, now: Profile) -> None:
    """The key that the profile had is of no use to anybody any more: it is revoked, as far as that can be done."""
    from aitbc import AITBCClient
    from aitbc.exceptions import AITBCError, AuthenticationError

    if before.key_store is None or before.base_url is None or before.key_id is None:
        return
    ended = False
    try:
        if (before.base_url, before.key_store) != (now.base_url, now.key_store):
            forget_key(before.name, before.base_url, before.key_store)
        if older is not None:
            with AITBCClient(older, before.base_url, before.tenant, max_retries=0) as client:
                client.api_keys.revoke(before.key_id)
            ended = True
    except AuthenticationError:
        return  # It had ended already.
    except (AITBCError, CommandError):
        pass
    if not ended:
        say_hint(settings, f"{before.key_id}, the key that this profile had before, may still work: revoke it")
        return
    note(f"The key that this profile had before, {before.key_id}, is revoked.")


def _tell(settings: Settings, profile: Profile, token: DeviceToken) -> None:
    key = token.api_key
    until = "" if key.expires_at is None else f" until {short(key.expires_at)}"
    note(f"Signed in to {profile.base_url}, tenant {key.tenant_id}.")
    access = key.preset or "as your role allows"
    note(f"The key {key.id} ({key.name}: {access}, {key.environment}) is valid{until}.")
    note(f"It is in {shown(profile.key_store or FILE)}, under the profile {profile.name}.")
    if os.environ.get("AITBC_API_KEY") and settings.profile is None:
        say_hint(settings, f"AITBC_API_KEY is set and goes first: unset it, or say --profile {profile.name}")
