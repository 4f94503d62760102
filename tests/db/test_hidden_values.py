"""What the database's errors say, in the log and in tracebacks: never what was in a statement or a row."""

from __future__ import annotations

import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import DomainError

SECRET = "a-digest-or-an-address"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO plans (id, name, limit_per_minute) SELECT id, :secret, 1 FROM plans",
        "INSERT INTO plans (id, name, limit_per_minute) VALUES (:secret, :secret, NULL)",
        "INSERT INTO plans (id, name, limit_per_minute) VALUES (:secret, :secret, 1), (:secret, :secret, 1)",
        "SELECT :secret FROM nowhere",
        "SELECT id FROM plans WHERE limit_per_minute = CAST(CAST(:secret AS text) AS integer) / 0 + nothing(:secret)",
    ],
)
async def test_errors_hold_no_values(database: Database, statement: str) -> None:
    """ASVS 16.2.5: neither the values of a statement nor those of the row that is in the way are told."""
    async with database.write() as session:
        with pytest.raises(DBAPIError) as raised:
            await session.execute(text(statement), {"secret": SECRET})
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert SECRET not in told
    assert "[SQL: " in told


@pytest.mark.parametrize(
    "statement",
    ["SELECT CAST(CAST(:secret AS text) AS integer)", "SELECT id FROM plans WHERE limit_per_minute = :secret"],
)
async def test_a_value_that_does_not_fit_is_not_told(postgres_url: str, statement: str) -> None:
    """ASVS 16.2.5: PostgreSQL and its driver would quote what is not a number."""
    database = Database(postgres_url)
    async with database.write() as session:
        with pytest.raises(DBAPIError, match="invalid input") as raised:
            await session.execute(text(statement), {"secret": SECRET})
    await database.close()
    assert SECRET not in "".join(traceback.format_exception(raised.value))


async def test_the_log_of_a_database_that_is_away_holds_no_values(postgres_url: str) -> None:
    """ASVS 16.2.5: a connection that ends under a statement is logged without the statement's values."""
    database = Database(postgres_url)
    units = UnitsOfWork(database, LocalFences(lambda _: None), system_clock)
    end_it = text("SELECT pg_terminate_backend(pg_backend_pid()), CAST(:secret AS text)")
    with pytest.raises(DomainError) as raised:
        async with units.begin() as unit:
            await unit.session.execute(end_it, {"secret": SECRET})
    await database.close()
    log = raised.value.log or ""
    assert log.startswith("database: ")
    assert "pg_terminate_backend" in log
    assert SECRET not in "".join(traceback.format_exception(raised.value)) + log
