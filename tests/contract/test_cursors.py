"""Pages of a list are pages of that list: a cursor goes on with the filters that it began with, and with no others."""

from __future__ import annotations

import httpx2
import pytest
from tests.support.asking import owner_of
from tests.support.installation import Installation

# For each list: filters that leave at least two objects, and others of the same list.
LISTS = {
    "/v1/api-keys": ({"environment": "live"}, [{}, {"status": "active"}, {"environment": "live", "q": "a"}]),
    "/v1/jobs": (
        {"state": "QUEUED", "created_after": "2020-01-01T00:00:00Z"},
        [
            {},
            {"state": "QUEUED"},
            {"state": "RUNNING", "created_after": "2020-01-01T00:00:00Z"},
            {"state": "QUEUED", "created_before": "2020-01-01T00:00:00Z"},
            {"state": "QUEUED", "created_after": "2020-01-01T00:00:01Z"},
        ],
    ),
    "/v1/audit-log": (
        {"action": "api_key.created"},
        [{}, {"action": "api_key.revoked"}, {"action": "api_key.created", "to": "2999-01-01T00:00:00Z"}],
    ),
}


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_goes_on_with_its_filters_alone(
    path: str, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """The next page with the same filters; 400 with any others, which would leave objects out unseen."""
    owner = await owner_of(installation, client)
    for number in range(3):
        await client.post("/v1/jobs", headers=owner.headers, json={"payload": {"number": number}})
        await client.post("/v1/api-keys", headers=owner.headers, json={"name": f"a {number}"})
    filters, others = LISTS[path]
    first = (await client.get(path, headers=owner.headers, params={**filters, "limit": 1})).json()
    rest = {"cursor": first["next_cursor"], "limit": 50}
    more = (await client.get(path, headers=owner.headers, params={**filters, **rest})).json()["items"]
    assert len(more) >= 2
    assert first["items"][0] not in more
    for other in others:
        answer = await client.get(path, headers=owner.headers, params={**other, **rest})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), other
        assert answer.json()["detail"].startswith("cursor: ")
