"""Usage journals that nobody writes any more: of an earlier start with more workers, or with fewer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.settings import Settings
from aitbc_server.usage.flusher import UsageFlusher
from aitbc_server.usage.journal import JournalInUseError

logger = logging.getLogger(__name__)

JOURNAL = "usage.journal"


def worker_folder(data_dir: Path, number: int) -> Path:
    """Where a worker, numbered from 1, has what it cannot share."""
    return data_dir / "workers" / str(number)


async def store(settings: Settings, database: Database) -> None:
    """Bring what they hold into the database. What cannot be stored now stays for the next start."""
    for journal in _unused(settings):
        flusher = UsageFlusher(UsageCounter(), database, system_clock, journal)
        try:
            # It takes in what an earlier run left, and stores it when it ends.
            async with flusher.running():
                logger.info("usage counts of an earlier worker are stored: %s", journal)
        except (JournalInUseError, OSError) as error:
            logger.warning("usage counts of an earlier worker are not stored yet: %s", error)


def _unused(settings: Settings) -> Iterator[Path]:
    """Journals that are not empty and that no process of this start will write."""
    used = {worker_folder(settings.data_dir, number) for number in range(1, settings.workers + 1)}
    folders = sorted((settings.data_dir / "workers").glob("*"))
    if settings.workers == 1:
        used = {settings.data_dir}
    for folder in [settings.data_dir, *folders]:
        journal = folder / JOURNAL
        if folder not in used and journal.exists() and journal.stat().st_size:
            yield journal
