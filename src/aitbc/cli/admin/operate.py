"""One operator's command: open the installation, do the work, show what came of it, say if it is not in effect yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from aitbc.cli.errors import EXIT_NOT_FOUND, CommandError
from aitbc.cli.output import note
from aitbc.cli.server_start import clear_faults, keep_files_private, server_settings
from aitbc.cli.settings import Settings

if TYPE_CHECKING:
    from aitbc_server.actor import Actor
    from aitbc_server.db.outside_fences import Unconfirmed
    from aitbc_server.serving.installation import Installation
    from aitbc_server.settings import Settings as ServerSettings

T = TypeVar("T")


def operate(
    settings: Settings,
    work: Callable[[Installation], Awaitable[T]],
    show: Callable[[T], None],
    *,
    creates: bool = False,
) -> None:
    """Run ``work`` on the installation and ``show`` its outcome. ``creates``: where there is none, one is made.

    Raises CommandError where it cannot be done, and, after showing, where it is not known to be in effect everywhere.
    """
    from aitbc_server import logging
    from aitbc_server.serving.installation import opened

    keep_files_private()
    configured = server_settings(settings)
    say_if_new = on_new_database(configured, creates=creates)
    # The person reads errors; the steps on the way there are no news.
    logging.configure("warning", terminal=True, color=settings.color)

    async def main() -> tuple[T, Unconfirmed | None]:
        async with opened(configured) as (installation, fences):
            say_if_new()
            return await work(installation), fences.unconfirmed

    with clear_faults(settings):
        outcome, unconfirmed = asyncio.run(main())
    show(outcome)
    if unconfirmed is not None:
        raise _not_confirmed(unconfirmed)


def _not_confirmed(unconfirmed: Unconfirmed) -> CommandError:
    from aitbc_server.db.outside_fences import Waiting

    if unconfirmed.waiting_for is Waiting.SERVER:
        return CommandError(
            "the change is committed, but the running server has not confirmed it within 10 s",
            hint="it takes effect as soon as the server answers again; `aitbc admin doctor` looks at it",
        )
    # Whatever a node without the store answers, it has read from the database for that.
    return CommandError(
        f"the change is committed, but Valkey has not taken it within 10 s: {unconfirmed.reason}",
        hint="nodes that do not reach Valkey have it in effect already, all others when it answers again; "
        "`aitbc admin doctor` looks at it",
    )


def on_new_database(configured: ServerSettings, *, creates: bool) -> Callable[[], None]:
    """What to call once the installation is there: it says so where one was made.

    Raises CommandError where there is none and the command makes none: it would find nothing in a fresh one, and say
    that all is well.
    """
    from aitbc_server.serving.installation import is_there

    if is_there(configured):
        return lambda: None
    folder = configured.data_dir.absolute()
    if not creates:
        raise CommandError(
            f"there is no installation in {folder}", hint="AITBC_DATA_DIR names its folder", exit_code=EXIT_NOT_FOUND
        )
    return lambda: note(f"Made a new database in {folder}.")


def operator(command: str, tenant_id: str) -> Actor:
    """Who does it, for the audit log."""
    from aitbc_server.actor import operator

    return operator(command, tenant_id)
