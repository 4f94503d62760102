"""Help, its Markdown reference, and completion: all from the commands themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import click
import pytest
from tests.cli.conftest import Cli, process

from aitbc.cli._reference import reference
from aitbc.cli.app import COMMANDS, cli
from aitbc.cli.settings import GlobalOption


def commands(ctx: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    """Every command below, with its context."""
    yield ctx, ctx.command
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None
            yield from commands(click.Context(command, info_name=name, parent=ctx))


ALL = [(ctx.command_path, command) for ctx, command in commands(click.Context(cli, info_name="aitbc"))]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_and_option_says_what_it_does(path: str, command: click.Command) -> None:
    """And takes the global options, but those whose names it uses for itself."""
    assert command.help
    names: list[str] = []
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{path} {param.opts[0]}"
            names += param.opts
    assert {"--api-key", "--base-url", "--tenant", "--output", "--no-color"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_server_s_options_where_they_do_something(name: str, cli: Cli) -> None:
    """A command that works on this machine alone takes --base-url and the like, as all do, and does not offer them."""
    offered = {word for word in ("--api-key", "--base-url", "--profile") if f"  {word}" in cli(name, "--help").out}
    local = {"dev", "serve", "admin", "scan", "completion"}
    assert offered == (set() if name in local else {"--api-key", "--base-url", "--profile"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_each_command_is_its_own(name: str) -> None:
    """The list in `aitbc --help` is written down, so that nothing is imported for it; it must not drift."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name].summary


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_short_help_is_not_cut(path: str, command: click.Command) -> None:
    """In the list of its group at 80 columns."""
    assert len(command.get_short_help_str(limit=200)) <= 62, path


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_groups_show_whole_summaries(path: str, command: click.Command) -> None:
    """No sentence in a list of commands ends in dots."""
    shown = command.get_help(click.Context(command, info_name=path))
    assert "..." not in shown.partition("Commands:")[2].partition("Options:")[0]


def test_a_number_that_is_none(cli: Cli) -> None:
    """What is wanted is called what people call it."""
    ran = cli("dev", "--port", "abc")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: invalid value for '--port': 'abc' is not a valid integer")
    assert "0<=x<=65535" in cli("dev", "--port", "65536").err


def test_help_fits_80_columns(cli: Cli) -> None:
    """All of it."""
    assert max(map(len, cli("--help").out.splitlines())) <= 80


def test_the_reference_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal; it holds every command and no escape."""
    text = reference()
    monkeypatch.setenv("COLUMNS", "200")
    assert reference() == text
    for path, _ in ALL:
        assert f"`{path}`\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(shell: str, cli: Cli) -> None:
    """The script that asks `aitbc` itself for the words."""
    assert "_AITBC_COMPLETE" in cli("completion", shell).out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("aitbc api", {"api-keys"}),
        ("aitbc api-keys re", {"regenerate", "revoke"}),
        ("aitbc api-keys list --sta", {"--status"}),
        ("aitbc api-keys list --status a", {"active"}),
        ("aitbc --out", {"--output"}),
    ],
)
def test_completion_completes(words: str, expected: set[str]) -> None:
    """Commands, options and their values, as bash asks for them."""
    variables = {"_AITBC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = process(env=variables)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


def test_bash_loads_the_completion() -> None:
    """What the help says to put into ~/.bashrc is valid there."""
    script = process("completion", "bash").stdout
    subprocess.run(["bash", "-c", script + "\ncomplete -p aitbc"], check=True, capture_output=True)


def test_every_command_is_reached_by_its_entry() -> None:
    """Global options are added once, however often a command is fetched."""
    first = cli.get_command(click.Context(cli), "api-keys")
    again = cli.get_command(click.Context(cli), "api-keys")
    assert first is again
    assert first is not None
    assert sum(isinstance(param, GlobalOption) for param in first.params) == 6
