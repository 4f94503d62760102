"""``aitbc completion``: the shells' completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from aitbc.cli.lazy import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    SHELL is bash, zsh or fish. To load the script:

    \b
    bash, in ~/.bashrc:
      eval "$(aitbc completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(aitbc completion zsh)"
    fish, once:
      aitbc completion fish > ~/.config/fish/completions/aitbc.fish
    """
    script = get_completion_class(shell)
    assert script is not None  # Click has one for each of the choices.
    click.echo(script(ctx.find_root().command, {}, "aitbc", "_AITBC_COMPLETE").source())
