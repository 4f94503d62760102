"""An export that cannot go on says whose fault it is: the database's, or the file's."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from tests.support.postgres import PostgresServer, run_sql

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.errors import Code, DomainError
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.transfer.exporting import export

END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
"""
SECRET_KEYS = SecretKeys([bytes(32)])


class Noticed(io.BytesIO):
    """A file; ``before_write`` is called whenever something is about to be written to it."""

    def __init__(self, before_write: Callable[[], None]) -> None:
        super().__init__()
        self._before_write = before_write

    def write(self, text: Any) -> int:
        """See BytesIO."""
        self._before_write()
        return super().write(text)


async def test_a_database_that_goes_away_is_unavailable(postgres: PostgresServer, postgres_url: str) -> None:
    """ASVS 16.5.2: its connection ends in the middle, and that is said; nobody is sent to look at the file."""
    database = Database(postgres_url)
    uri = postgres.get_uri(make_url(postgres_url).database)
    with pytest.raises(DomainError) as raised:
        await export(database, SECRET_KEYS, Noticed(lambda: run_sql(uri, END_OTHERS)), system_clock)
    await database.close()
    assert raised.value.code is Code.UNAVAILABLE


async def test_a_disk_that_is_full_is_the_files_fault(database: Database) -> None:
    """What the disk says reaches whoever opened the file, and is not taken for the database's."""

    def fill() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        await export(database, SECRET_KEYS, Noticed(fill), system_clock)
