"""What holds for every command: the global options, the environment and the profile behind them, and the client.

An option goes before the environment, the environment before the profile. ``--profile`` is an option: what it names
goes before the environment too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli.errors import EXIT_USAGE, CommandError

if TYPE_CHECKING:
    from aitbc import AITBCClient
    from aitbc.cli.profiles import Profile

DEFAULT_BASE_URL = "http://127.0.0.1:8000"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Settings:
    """The global options as given (None: not given), before or after the command; the later one wins.

    ``makes_profile``: the command may make the profile that it names. ``job_id``: the job that it is about, for hints.
    """

    api_key: str | None = None
    base_url: str | None = None
    tenant: str | None = None
    output: str = "table"
    no_color: bool = False
    profile: str | None = None
    makes_profile: bool = False
    job_id: str | None = None
    clock: Callable[[], datetime] = _utc_now

    @property
    def json(self) -> bool:
        """Whether data is printed as the API's JSON."""
        return self.output == "json"

    @property
    def color(self) -> bool:
        """Whether colour is wanted at all; a stream that is no terminal gets none in any case."""
        return not (self.no_color or os.environ.get("NO_COLOR"))

    @property
    def profile_name(self) -> str:
        """The profile in use, which need not be there."""
        from aitbc.cli.profiles import DEFAULT_PROFILE, check_profile_name

        return check_profile_name(self.profile or os.environ.get("AITBC_PROFILE") or DEFAULT_PROFILE)

    @property
    def key(self) -> str | None:
        """The API key that the client will send; None where there is none."""
        if self.api_key is not None:
            return self.api_key
        if self.profile is None and os.environ.get("AITBC_API_KEY"):
            return os.environ["AITBC_API_KEY"]
        return self.profile_key or os.environ.get("AITBC_API_KEY") or None

    @property
    def key_source(self) -> str:
        """Where the key comes from, in words."""
        if self.api_key is not None:
            return "the option --api-key"
        if self.key_is_of_profile:
            from aitbc.cli.key_store import shown

            profile = self._loaded
            assert profile is not None
            return f"the profile {profile.name} (in {shown(profile.key_store or '')})"
        return "the environment variable AITBC_API_KEY"

    @property
    def key_is_of_profile(self) -> bool:
        """Whether the key is one of ``aitbc login``."""
        from_environment = self.profile is None and os.environ.get("AITBC_API_KEY")
        return self.api_key is None and not from_environment and self.profile_key is not None

    @cached_property
    def profile_key(self) -> str | None:
        """The key of the profile in use, if it is one for the server in use: it is sent to no other."""
        profile = self._loaded
        if profile is None or profile.key_store is None or profile.base_url is None or profile.base_url != self.url:
            return None
        from aitbc.cli.key_store import stored_key

        return stored_key(profile.name, profile.base_url, profile.key_store)

    def keep_in_profile(self, key: str) -> None:
        """The key of the profile in use has a new secret. Raises CommandError where it cannot be kept."""
        from aitbc.cli.key_store import store_key
        from aitbc.cli.profiles import save_profile

        profile = self._loaded
        assert profile is not None
        assert profile.base_url is not None
        save_profile(replace(profile, key_store=store_key(profile.name, profile.base_url, key)))

    @property
    def signed_in_elsewhere(self) -> str | None:
        """The server that the profile has a key for, where that is another one than the server in use."""
        profile = self._loaded
        has_key = profile is not None and profile.key_store is not None
        return profile.base_url if profile is not None and has_key and profile.base_url != self.url else None

    @property
    def url(self) -> str:
        """The server's base URL that the client will use."""
        return self._url or DEFAULT_BASE_URL

    @property
    def _url(self) -> str | None:
        """The same; None where nothing says so."""
        named, given = self.profile is not None, os.environ.get("AITBC_BASE_URL") or None
        if self.base_url is not None:
            return self.base_url
        if given is not None and not (named and self._loaded is not None and self._loaded.base_url):
            return given
        return None if self._loaded is None else self._loaded.base_url

    @property
    def tenant_id(self) -> str | None:
        """The tenant to act for; None where nothing says so. A profile's tenant goes with its key."""
        if self.tenant is not None:
            return self.tenant
        profile, given = self._loaded, os.environ.get("AITBC_TENANT_ID") or None
        of_profile = None
        if profile is not None and (profile.key_store is None or self.key_is_of_profile):
            of_profile = profile.tenant
        return of_profile or given if self.profile is not None else given or of_profile

    @cached_property
    def _loaded(self) -> Profile | None:
        """The profile in use. Raises CommandError where it was named, and is not there."""
        from aitbc.cli.profiles import DEFAULT_PROFILE, config_file, load_profile, profile_names

        name = self.profile_name
        profile = load_profile(name)
        if profile is None and name != DEFAULT_PROFILE and not self.makes_profile:
            names = profile_names()
            there = f"; there are {', '.join(names)}" if names else ""
            raise CommandError(
                f"there is no profile {name} in {config_file()}{there}", hint=f"`aitbc login --profile {name}` makes it"
            )
        return profile

    def check_url(self) -> str:
        """The server's base URL, without a slash at its end. Raises CommandError that names where a bad one is from."""
        from aitbc._config import checked_url
        from aitbc.exceptions import AITBCError

        try:
            return checked_url(self.url, self._url_source)
        except AITBCError as error:
            context = click.get_current_context(silent=True)
            hint = None if context is None else f"`{context.command_path} --help` shows how it is used"
            raise CommandError(str(error), hint=hint, exit_code=EXIT_USAGE) from error

    @property
    def _url_source(self) -> str:
        if self.base_url is not None:
            return "--base-url"
        if self.url == os.environ.get("AITBC_BASE_URL"):
            return "AITBC_BASE_URL"
        return f"base_url of the profile {self.profile_name}"

    def client(self, *, max_retries: int = 0) -> AITBCClient:
        """A client as these settings say. Raises AuthenticationError where there is no key.

        It does not retry unless told to: whoever types a command wants to know at once what is wrong, not
        sit in silence through a Retry-After.
        """
        from aitbc import AITBCClient

        self.check_url()
        return AITBCClient(
            # What the client finds in the environment by itself is left to it: its errors name the variable then.
            api_key=self.profile_key if self.key_is_of_profile else self.api_key,
            base_url=None if self._url == os.environ.get("AITBC_BASE_URL") else self._url,
            tenant_id=self.tenant_id,
            max_retries=max_retries,
        )


pass_settings = click.make_pass_decorator(Settings, ensure=True)


class GlobalOption(click.Option):
    """An option that every command takes, before or after the command's name."""


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # Only what was really typed is stored: a default further right must not undo what stands further left.
    if value is not None and value is not False:
        setattr(ctx.ensure_object(Settings), str(param.name), value)


def global_options(*, calls_server: bool = True) -> list[click.Option]:
    """Fresh instances of the global options; those that choose server and key are hidden where no server is called."""
    return [*_choosing(hidden=not calls_server), *_printing()]


def _choosing(*, hidden: bool) -> list[click.Option]:
    return [
        GlobalOption(
            ["--api-key", "api_key"],
            metavar="KEY",
            help="The API key. Other users of this machine can see it in the process list; "
            "prefer `aitbc login`, or the variable AITBC_API_KEY.",
            hidden=hidden,
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--base-url", "base_url"],
            metavar="URL",
            help=f"The server. [AITBC_BASE_URL; default: {DEFAULT_BASE_URL}]",
            hidden=hidden,
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--tenant", "tenant"],
            metavar="ID",
            help="The tenant to act for, if the key may act for several. [AITBC_TENANT_ID]",
            hidden=hidden,
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--profile", "profile"],
            metavar="NAME",
            help="The profile to use: a server, a tenant, and the key of `aitbc login`. [AITBC_PROFILE; "
            "default: default]",
            hidden=hidden,
            expose_value=False,
            callback=_store,
        ),
    ]


def _printing() -> list[click.Option]:
    return [
        GlobalOption(
            ["--output", "output"],
            type=click.Choice(["table", "json"]),
            help="How data is printed: for people, or the API's JSON. [default: table]",
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--no-color", "no_color"],
            is_flag=True,
            help="Print without colour. [NO_COLOR]",
            expose_value=False,
            callback=_store,
        ),
    ]
