"""One operator's command: open the installation, do the work, show what came of it, say if it is not in effect yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from aitbc.cli.errors import CommandError
from aitbc.cli.server_start import clear_faults, keep_files_private, server_settings
from aitbc.cli.settings import Settings

if TYPE_CHECKING:
    from aitbc_server.actor import Actor
    from aitbc_server.serving.installation import Installation

T = TypeVar("T")


def operate(settings: Settings, work: Callable[[Installation], Awaitable[T]], show: Callable[[T], None]) -> None:
    """Run ``work`` on the installation and ``show`` its outcome.

    Raises CommandError where it cannot be done, and, after showing, where the running server has not confirmed it.
    """
    from aitbc_server import logging
    from aitbc_server.serving.installation import opened

    keep_files_private()
    configured = server_settings(settings)
    # The person reads errors; the steps on the way there are no news.
    logging.configure("warning", terminal=True, color=settings.color)

    async def main() -> tuple[T, bool]:
        async with opened(configured) as (installation, fences):
            return await work(installation), fences.confirmed

    with clear_faults(settings):
        outcome, confirmed = asyncio.run(main())
    show(outcome)
    if not confirmed:
        raise CommandError(
            "the change is committed, but the running server has not confirmed it within 10 s",
            hint="it takes effect as soon as the server answers again; `aitbc admin doctor` looks at it",
        )


def operator(command: str, tenant_id: str) -> Actor:
    """Who does it, for the audit log."""
    from aitbc_server.actor import operator

    return operator(command, tenant_id)
