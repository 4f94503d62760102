"""A node notices that its database was replaced while it ran."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.support.postgres import PostgresServer, run_sql

from aitbc_server.db.engine import Database
from aitbc_server.db.identity import _QUERIES, IdentityWatch


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """PostgreSQL; the file of SQLite is its server's as long as that runs."""
    return postgres_url


class Watched:
    """A watch that counts."""

    def __init__(self, database: Database) -> None:
        self.forgot = self.corrected = 0
        self.corrected_first = self.fails = False
        self.watch = IdentityWatch(database, self._forget, self._correct)

    def _forget(self) -> None:
        self.forgot += 1
        self.corrected_first = bool(self.corrected)

    async def _correct(self) -> None:
        if self.fails:
            raise OSError("the database is full")
        self.corrected += 1


async def run(database: Database, *statements: str) -> None:
    """Change the database by hand."""
    async with database.write() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


async def test_what_is_done_every_day_is_no_replacement(database: Database) -> None:
    """Rows come and go, tables are vacuumed: nothing is read anew for that."""
    watched = Watched(database)
    await watched.watch.look()
    await run(
        database, "INSERT INTO tenants VALUES ('acme', 'acme', 'free', NULL, 1)", "DELETE FROM tenants", "ANALYZE"
    )
    await watched.watch.look()
    assert (watched.forgot, watched.corrected) == (0, 0)


async def test_tables_that_were_filled_anew_are_noticed_once(database: Database) -> None:
    """As a dump is restored in place: emptied, then filled."""
    watched = Watched(database)
    await watched.watch.look()
    await run(database, "TRUNCATE tenants CASCADE", "INSERT INTO tenants VALUES ('acme', 'acme', 'free', NULL, 1)")
    await watched.watch.look()
    await watched.watch.look()
    assert watched.forgot == 1


async def test_what_is_known_better_is_put_right_before_anything_is_read_anew(database: Database) -> None:
    """And again some looks later: a tool that restores in place fills its tables after it made them."""
    watched = Watched(database)
    await watched.watch.look()
    await run(database, "TRUNCATE tenants CASCADE")
    await watched.watch.look()
    assert (watched.corrected, watched.corrected_first) == (1, True)
    for _ in range(16):
        await watched.watch.look()
    assert (watched.corrected, watched.forgot) == (1 + 5, 1)


async def test_what_cannot_be_put_right_is_tried_again(database: Database) -> None:
    """What was known is forgotten all the same: it is of another database."""
    watched = Watched(database)
    await watched.watch.look()
    await run(database, "TRUNCATE tenants CASCADE")
    watched.fails = True
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            await watched.watch.look()
    assert watched.forgot == 1
    watched.fails = False
    await watched.watch.look()
    assert watched.corrected == 1


async def test_a_copy_under_the_same_name_is_noticed(database: Database, postgres: PostgresServer) -> None:
    """A copy by TEMPLATE has the very same files."""
    watched = Watched(database)
    await watched.watch.look()
    await database.close()
    name = database.url.database
    assert name
    for statement in (
        f"CREATE DATABASE {name}_copy TEMPLATE {name}",
        f"ALTER DATABASE {name} RENAME TO {name}_old",
        f"ALTER DATABASE {name}_copy RENAME TO {name}",
        f"DROP DATABASE {name}_old",
    ):
        run_sql(postgres.get_uri(), statement + ";")
    await watched.watch.look()
    assert watched.forgot == 1


async def test_who_may_not_see_the_cluster_watches_the_tables(database: Database) -> None:
    """A hosted database may refuse what only its superuser is meant to see."""
    await run(
        database,
        "CREATE ROLE modest LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO modest",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
    )
    modest = Database(database.url.set(username="modest"))
    try:
        watched = Watched(modest)
        await watched.watch.look()
        assert watched.watch._query is _QUERIES[1]
        await run(database, "TRUNCATE tenants CASCADE")
        await watched.watch.look()
        assert watched.forgot == 1
    finally:
        await modest.close()
        await run(
            database,
            "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC",
            "DROP OWNED BY modest",
            "DROP ROLE modest",
        )
