"""The shared server does what the tests that build on it expect."""

from __future__ import annotations

import httpx2
from tests.e2e.conftest import SharedServer

from aitbc import AITBCClient


def test_the_keys_work_and_say_who_they_are(server: SharedServer) -> None:
    """A key that an operator made works on the running server the moment the command returns."""
    with AITBCClient(api_key=server.key("beta"), base_url=server.url) as client:
        me = client.api_keys.self()
    assert (me.tenant.id, me.key.preset, me.key.environment) == ("beta", "manager", "live")
    assert me.limits[0].limit == 1_000_000


def test_health_needs_no_key_and_everything_else_does(server: SharedServer) -> None:
    """Liveness, readiness and the version are public; the API is not."""
    paths = {"/health/live": 200, "/health/ready": 200, "/v1/health": 200, "/v1/jobs": 401, "/nothing": 401}
    assert {path: httpx2.get(server.url + path).status_code for path in paths} == paths
    assert httpx2.get(server.url + "/v1/health").json() == {"status": "ok", "version": "0.1.0"}
