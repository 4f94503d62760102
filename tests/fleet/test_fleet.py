"""Several servers on one database and one store keep the promises as if they were one."""

from __future__ import annotations

import httpx2
from tests.e2e.processes import ServerProcess
from tests.fleet.conftest import Fleet, StartFleet


def ask(node: ServerProcess, key: str) -> httpx2.Response:
    """GET self."""
    return httpx2.get(f"{node.url}/v1/api-keys/self", headers={"X-API-Key": key})


def two_nodes(start_fleet: StartFleet) -> tuple[Fleet, ServerProcess, ServerProcess]:
    fleet = start_fleet(2)
    first, second = fleet.nodes
    return fleet, first, second


def test_a_limit_is_one_limit(start_fleet: StartFleet) -> None:
    """Sixty a minute are sixty, whichever node they come to."""
    _, first, second = two_nodes(start_fleet)
    first.create_tenant("acme", plan="free")
    key = first.create_key("acme", "client")
    answers = [ask((first, second)[number % 2], key) for number in range(61)]
    assert [each.status_code for each in answers] == [200] * 60 + [429]
    assert [int(each.headers["x-ratelimit-remaining"]) for each in answers[:60]] == list(range(59, -1, -1))


def test_a_revoked_key_is_revoked_on_every_node_at_once(start_fleet: StartFleet) -> None:
    """Once revoke has answered, no request that begins later passes, on any node. ASVS 8.3.2."""
    _, first, second = two_nodes(start_fleet)
    first.create_tenant("acme", plan="enterprise")
    manager = first.create_key("acme", "manager")
    for _ in range(10):
        made = httpx2.post(f"{first.url}/v1/api-keys", headers={"X-API-Key": manager}, json={"name": "k"}).json()
        assert [ask(node, made["key"]).status_code for node in (first, second)] == [200, 200]
        revoked = httpx2.post(f"{first.url}/v1/api-keys/{made['id']}/revoke", headers={"X-API-Key": manager})
        assert revoked.status_code == 200
        assert ask(second, made["key"]).json()["code"] == "revoked_api_key"
        assert ask(first, made["key"]).json()["code"] == "revoked_api_key"
