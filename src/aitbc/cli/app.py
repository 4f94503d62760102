"""``aitbc`` and the list of its commands."""

from __future__ import annotations

from functools import partial

import click

from aitbc._version import __version__
from aitbc.cli.lazy import Entry, RootGroup
from aitbc.cli.settings import global_options

KEYS, WORK, SERVER, TOOLS = "API keys", "Jobs and miners", "Server", "Tools"

_here = partial(Entry, calls_server=False)

COMMANDS = {
    "login": Entry("aitbc.cli.login:login", KEYS, "Sign in: get an API key by your browser, and keep it."),
    "logout": Entry("aitbc.cli.logout:logout", KEYS, "Revoke the API key of `aitbc login`, and forget it."),
    "whoami": Entry("aitbc.cli.whoami:whoami", KEYS, "Show the key in use: its tenant, plan, limits and scopes."),
    "api-keys": Entry("aitbc.cli.api_keys:api_keys", KEYS, "Create, list, regenerate and revoke API keys."),
    "usage": Entry("aitbc.cli.usage:usage", KEYS, "Show how many requests were allowed and refused."),
    "audit": Entry("aitbc.cli.audit:audit", KEYS, "Show who changed what."),
    "jobs": Entry("aitbc.cli.jobs:jobs", WORK, "Submit jobs and fetch their results."),
    "miners": Entry("aitbc.cli.miners:miners", WORK, "List miners, or run one."),
    "dev": _here("aitbc.cli.dev:dev", SERVER, "Start a server for development, with keys and a miner."),
    "serve": _here("aitbc.cli.serve:serve", SERVER, "Start the server."),
    "admin": _here("aitbc.cli.admin:admin", SERVER, "Operate an installation: tenants, plans, keys, migrations."),
    "scan": _here("aitbc.cli.scan:scan", TOOLS, "Find API keys in files, offline."),
    "completion": _here("aitbc.cli.completion:completion", TOOLS, "Print the completion script for a shell."),
}


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"aitbc {__version__}")
    ctx.exit()


@click.group(
    cls=RootGroup,
    entries=COMMANDS,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        ),
        *global_options(),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """API keys, jobs and miners of the AITBC compute marketplace.

    Sign in with `aitbc login`, or export AITBC_API_KEY; then for example `aitbc whoami`. Global options stand before
    or after the command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
