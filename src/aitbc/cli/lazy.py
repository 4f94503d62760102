"""The root command: its subcommands are imported when they are called, and all take the global options."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from aitbc.cli.errors import EXIT_USAGE, CommandError, missing_server
from aitbc.cli.settings import GlobalOption, global_options

# What the arguments of commands name.
_OBJECTS = {"key_id": "key", "job_id": "job"}
# More characters than any summary has.
_WHOLE = 1000


class Entry(NamedTuple):
    """A subcommand: ``module:attribute`` of its click command, the help's section for it, its one line of help.

    One that calls no server takes the options that choose server and key, as all do, but its help is without them.
    """

    path: str
    section: str
    summary: str
    calls_server: bool = True


class LazyGroup(click.Group):
    """A group whose help and completion need none of its commands imported."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the help."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, with the global options added; None where there is no such name."""
        if cmd_name not in self.entries:
            return None
        if cmd_name not in self.commands:
            self.add_command(_load(cmd_name, self.entries[cmd_name]), cmd_name)
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that is nearly right."""
        name = args[0]
        if name not in self.entries and not name.startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name, self.entries, n=1)
            hint = f"did you mean `aitbc {close[0]}`?" if close else "`aitbc --help` lists the commands"
            raise CommandError(f"there is no command {name!r}", hint=hint, exit_code=EXIT_USAGE)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section."""
        for section in dict.fromkeys(entry.section for entry in self.entries.values()):
            with formatter.section(section):
                rows = [(name, entry.summary) for name, entry in self.entries.items() if entry.section == section]
                formatter.write_dl(rows, col_spacing=4)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands and options; nothing is imported for it."""
        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def _load(name: str, entry: Entry) -> click.Command:
    module, _, attribute = entry.path.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing_server(error) or error from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.path} is no click command")
    add_global_options(command, calls_server=entry.calls_server)
    command.name = name
    return command


def add_global_options(command: click.Command, *, calls_server: bool) -> None:
    """Add the global options to ``command`` and all below it, but those whose name it uses for itself."""
    taken = {option for param in command.params for option in param.opts}
    if not any(isinstance(param, GlobalOption) for param in command.params):
        command.params += [
            option for option in global_options(calls_server=calls_server) if taken.isdisjoint(option.opts)
        ]
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_global_options(child, calls_server=calls_server)


class _Help(click.Command):
    """Shows the global options apart from the command's own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two sections: what is special here, and what every command takes."""
        own: list[tuple[str, str]] = []
        everywhere: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                (everywhere if isinstance(param, GlobalOption) else own).append(record)
        for title, records in (("Options", own), ("Global options", everywhere)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Command(_Help):
    """A command of ``aitbc``."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; an error that an object is not there learns which one was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if getattr(error, "code", None) == "not_found":
                for name, what in _OBJECTS.items():
                    if name in ctx.params:
                        error.add_note(f"no {what} {ctx.params[name]}")
            raise


class Group(_Help, click.Group):
    """A group of commands of ``aitbc``."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, but a group without a command shows its help, on standard error."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(EXIT_USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the code: what is used most comes first."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, but each with its whole first sentence, on two lines if need be."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(_WHOLE)) for name, command in shown])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that is nearly right."""
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name, self.commands, n=1)
            hint = f"did you mean `{ctx.command_path} {close[0]}`?" if close else None
            raise CommandError(
                f"there is no command {name!r} in `{ctx.command_path}`",
                hint=hint or f"`{ctx.command_path} --help` lists the commands",
                exit_code=EXIT_USAGE,
            )
        return super().resolve_command(ctx, args)


class RootGroup(_Help, LazyGroup):
    """``aitbc`` itself."""
