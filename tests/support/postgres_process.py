"""A PostgreSQL server of a test's own, which may be killed and started again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from tests.support.postgres import get_server, run_sql

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database


class PostgresProcess:
    """A server with a migrated database, reached by a socket file."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="delete")
        # What a killed process has written is with the system already: only a power cut would lose it.
        run_sql(self._server.get_uri(), "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        self.url = self._server.get_uri()
        self.sqlalchemy_url = self.url.replace("postgresql://", "postgresql+asyncpg://", 1)
        asyncio.run(self._migrate())

    def kill(self) -> None:
        """SIGKILL, to all of its processes."""
        family = self._family()
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        self._server.ensure_postgres_running()

    def hang(self) -> None:
        """SIGSTOP, to all of its processes: connections are taken by the kernel still, and nothing is answered."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def go_on(self) -> None:
        """SIGCONT, to all of its processes; some end at once, as their clients are gone."""
        with suppress(psutil.NoSuchProcess):
            for process in self._family():
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def close(self) -> None:
        """End it and take its data away."""
        # One that hangs would not hear that it is to end; psutil takes no number for this very process.
        if self._server.get_pid() is not None:
            self.go_on()
        self._server.cleanup()

    def _family(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self._server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]

    async def _migrate(self) -> None:
        database = Database(self.sqlalchemy_url)
        await migrate.upgrade(database)
        await database.close()
