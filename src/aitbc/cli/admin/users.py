"""``aitbc admin create-user, disable-user, enable-user, end-sessions``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from aitbc.cli.admin.operate import operate, operator
from aitbc.cli.lazy import Command
from aitbc.cli.output import counted, note, print_json
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc.schemas.users import InvitedUser, User
    from aitbc_server.actor import Actor
    from aitbc_server.users.administration import UserAdministration

T = TypeVar("T")


@click.command("create-user", cls=Command)
@click.option("--email", required=True, metavar="ADDRESS", help="The person's e-mail address: they sign in with it.")
@click.option("--operator", "is_operator", is_flag=True, help="They operate this installation, on its pages too.")
@pass_settings
def create_user(settings: Settings, /, email: str, is_operator: bool) -> None:
    """Create an account and print a link for its owner.

    The link alone goes to standard output. With it the owner chooses the password; it works once, for 24 hours, and the
    same command again replaces it. Send it by a way that only its owner reads.
    """
    _operate(
        settings,
        "create-user",
        lambda users, actor: users.create(actor, email, is_operator=is_operator),
        lambda made: _show_link(settings, made),
        creates=True,
    )


@click.command("disable-user", cls=Command)
@click.option("--email", required=True, metavar="ADDRESS", help="The account's e-mail address.")
@pass_settings
def disable_user(settings: Settings, /, email: str) -> None:
    """Sign somebody out everywhere and keep them out.

    Keys that they made belong to their tenants and go on: `suspend-tenant` stops all of a tenant's.
    """
    _operate(
        settings,
        "disable-user",
        lambda users, actor: users.disable(actor, email),
        lambda user: _show(settings, user, f"{user.email} is signed out and cannot sign in any more."),
    )


@click.command("enable-user", cls=Command)
@click.option("--email", required=True, metavar="ADDRESS", help="The account's e-mail address.")
@pass_settings
def enable_user(settings: Settings, /, email: str) -> None:
    """Let the owner of a disabled account sign in again."""
    _operate(
        settings,
        "enable-user",
        lambda users, actor: users.enable(actor, email),
        lambda user: _show(settings, user, f"{user.email} can sign in again."),
    )


@click.command("end-sessions", cls=Command)
@click.option("--email", required=True, metavar="ADDRESS", help="The account's e-mail address.")
@pass_settings
def end_sessions(settings: Settings, /, email: str) -> None:
    """Sign somebody out everywhere; they may sign in again."""
    _operate(
        settings,
        "end-sessions",
        lambda users, actor: users.end_sessions(actor, email),
        lambda ended: _show_ended(settings, email, ended),
    )


def _operate(
    settings: Settings,
    command: str,
    work: Callable[[UserAdministration, Actor], Awaitable[T]],
    show: Callable[[T], None],
    *,
    creates: bool = False,
) -> None:
    from aitbc_server.settings import Settings as ServerSettings
    from aitbc_server.tenants.service import OPERATOR_TENANT

    actor = operator(command, OPERATOR_TENANT)
    operate(settings, lambda it: work(it.users(ServerSettings.from_env(os.environ)), actor), show, creates=creates)


def _show_link(settings: Settings, made: InvitedUser) -> None:
    if settings.json:
        print_json(made)
        return
    what = "operator" if made.is_operator else "user"
    note(f"Created the {what} {made.email}. With this link they choose a password, once, within 24 hours:")
    click.echo(made.link)


def _show(settings: Settings, user: User, words: str) -> None:
    if settings.json:
        print_json(user)
    else:
        note(words)


def _show_ended(settings: Settings, email: str, ended: int) -> None:
    if settings.json:
        print_json({"email": email, "ended_sessions": ended})
    else:
        note(f"{email} is signed out: {counted(ended, 'session')} ended.")
