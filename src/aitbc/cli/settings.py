"""What holds for every command: the global options, the environment behind them, and the client made of both."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aitbc import AITBCClient

DEFAULT_BASE_URL = "http://127.0.0.1:8000"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Settings:
    """The global options as given (None: not given), before or after the command; the later one wins."""

    api_key: str | None = None
    base_url: str | None = None
    tenant: str | None = None
    output: str = "table"
    no_color: bool = False
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
    def key(self) -> str | None:
        """The API key that the client will send: the option's, else the environment's."""
        return self.api_key if self.api_key is not None else os.environ.get("AITBC_API_KEY") or None

    @property
    def key_source(self) -> str:
        """Where the key comes from, in words."""
        return "the environment variable AITBC_API_KEY" if self.api_key is None else "the option --api-key"

    @property
    def url(self) -> str:
        """The server's base URL that the client will use."""
        return self.base_url or os.environ.get("AITBC_BASE_URL") or DEFAULT_BASE_URL

    def client(self, *, max_retries: int = 0) -> AITBCClient:
        """A client as these settings say. Raises AuthenticationError where there is no key.

        It does not retry unless told to: whoever types a command wants to know at once what is wrong, not
        sit in silence through a Retry-After.
        """
        from aitbc import AITBCClient

        return AITBCClient(api_key=self.api_key, base_url=self.base_url, tenant_id=self.tenant, max_retries=max_retries)


pass_settings = click.make_pass_decorator(Settings, ensure=True)


class GlobalOption(click.Option):
    """An option that every command takes, before or after the command's name."""


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # Only what was really typed is stored: a default further right must not undo what stands further left.
    if value is not None and value is not False:
        setattr(ctx.ensure_object(Settings), str(param.name), value)


def global_options() -> list[click.Option]:
    """Fresh instances of the global options."""
    return [
        GlobalOption(
            ["--api-key", "api_key"],
            metavar="KEY",
            help="The API key. Other users of this machine can see it in the process list; "
            "prefer the variable AITBC_API_KEY.",
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--base-url", "base_url"],
            metavar="URL",
            help=f"The server. [AITBC_BASE_URL; default: {DEFAULT_BASE_URL}]",
            expose_value=False,
            callback=_store,
        ),
        GlobalOption(
            ["--tenant", "tenant"],
            metavar="ID",
            help="The tenant to act for, if the key may act for several. [AITBC_TENANT_ID]",
            expose_value=False,
            callback=_store,
        ),
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
