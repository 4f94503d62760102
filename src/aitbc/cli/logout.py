"""``aitbc logout``."""

from __future__ import annotations

from dataclasses import replace

import click

from aitbc.cli.errors import CommandError
from aitbc.cli.key_store import forget_key, stored_key
from aitbc.cli.lazy import Command
from aitbc.cli.output import note
from aitbc.cli.profiles import Profile, load_profile, save_profile
from aitbc.cli.settings import Settings, pass_settings


@click.command(cls=Command)
@pass_settings
def logout(settings: Settings) -> None:
    """Revoke the API key of `aitbc login`, and forget it.

    The key is forgotten here even if the server does not answer; the command then says so, and ends with exit code 1.
    --profile NAME says which one; its server and tenant stay, for the next `aitbc login`.
    """
    name = settings.profile_name
    profile = load_profile(name)
    if profile is None or profile.key_store is None or profile.base_url is None:
        note(f"Not signed in under the profile {name}: there is nothing to do.")
        return
    key = _held(profile)
    failure = None if key is None else _revoke(profile, key)
    forget_key(profile.name, profile.base_url, profile.key_store)
    save_profile(replace(profile, key_store=None, key_id=None))
    if failure is not None:
        raise CommandError(
            f"the key {profile.key_id} is forgotten here, but could not be revoked and still works: {failure}",
            hint=f"revoke it on the dashboard, {profile.base_url}/api-keys/{profile.key_id}",
        )
    if key is None:
        raise CommandError(
            f"the key {profile.key_id} was not where it should be, and could not be revoked",
            hint=f"revoke it on the dashboard, {profile.base_url}/api-keys/{profile.key_id}",
        )
    note(f"Signed out of {profile.base_url}: the key {profile.key_id} is revoked and forgotten.")


def _held(profile: Profile) -> str | None:
    """The key. Raises CommandError where the keyring is locked: then nothing is done."""
    assert profile.base_url is not None
    return stored_key(profile.name, profile.base_url, profile.key_store or "")


def _revoke(profile: Profile, key: str) -> str | None:
    """Revoke the key by itself. Why that could not be done; None where it does not work any more."""
    from aitbc import AITBCClient
    from aitbc.exceptions import AITBCError, AuthenticationError

    try:
        with AITBCClient(key, profile.base_url, profile.tenant, max_retries=0) as client:
            client.api_keys.revoke(profile.key_id or client.api_keys.self().key.id)
    except AuthenticationError:
        return None  # Revoked or expired before: it works no more.
    except AITBCError as error:
        return str(error)
    return None
