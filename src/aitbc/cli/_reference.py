"""The reference of all commands as Markdown, from the very help that the commands print."""

from __future__ import annotations

from collections.abc import Iterator

import click

WIDTH = 80


def reference() -> str:
    """Every command's help as Markdown: the same text for the same code, at a width of 80 columns."""
    from aitbc.cli.app import cli

    # As it is when the program runs: a command keeps its help option from the first context that it is shown in.
    settings = {**cli.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH, "color": False}
    root = click.Context(cli, info_name="aitbc", **settings)
    return "\n".join(_sections(root)).rstrip() + "\n"


def _sections(ctx: click.Context) -> Iterator[str]:
    depth = min(ctx.command_path.count(" ") + 2, 4)
    yield f"{'#' * depth} `{ctx.command_path}`\n"
    yield f"```text\n{ctx.get_help()}\n```\n"
    if not isinstance(ctx.command, click.Group):
        return
    for name in ctx.command.list_commands(ctx):
        command = ctx.command.get_command(ctx, name)
        if command is not None and not command.hidden:
            yield from _sections(
                click.Context(
                    command, info_name=name, parent=ctx, terminal_width=WIDTH, max_content_width=WIDTH, color=False
                )
            )
