"""A database that is restored while nodes run: none goes on believing what it read before."""

from __future__ import annotations

import time

from tests.fleet.conftest import StartFleet
from tests.fleet.test_fleet import ask
from tests.support.postgres import run_sql

SOON_S = 5.0


def test_nodes_that_run_notice_a_restored_database(start_fleet: StartFleet) -> None:
    """Nobody tells them: within a moment all of them answer by what the database holds now."""
    fleet = start_fleet(2)
    first = fleet.nodes[0]
    first.create_tenant("acme", plan="enterprise")
    key = first.create_key("acme", "client")
    assert [ask(node, key).status_code for node in fleet.nodes] == [200, 200]
    # As a backup from before the key was made is restored in place.
    run_sql(fleet.variables["AITBC_DATABASE_URL"], "TRUNCATE api_keys CASCADE;")
    deadline = time.monotonic() + SOON_S
    while [ask(node, key).status_code for node in fleet.nodes] != [401, 401]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
