"""GET /v1/api-keys/self: the whole answer, from bytes made beforehand."""

from __future__ import annotations

import msgspec
import pytest
from tests.gate.factories import Answered, key, tenant
from tests.gate.served import Served

from aitbc.schemas.api_keys import ApiKey, KeySelf, LimitStatus, TenantSummary

SELF = "/v1/api-keys/self"


async def answer_for(served: Served, text: str = "k") -> Answered:
    answer = await served.get(SELF, text)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    return answer


@pytest.mark.parametrize("own", [None, 50])
async def test_the_answer_is_a_key_self(own: int | None) -> None:
    """Exactly the fields of the schema, none missing and none beside; limits agree with the headers."""
    served = Served()
    served.add_key("k", key(tenant(limit=600, plan="pro"), limit=own))
    answer = await answer_for(served)
    found = msgspec.json.decode(answer.body, type=KeySelf)
    assert answer.json.keys() == set(KeySelf.__struct_fields__)
    assert answer.json["key"].keys() == set(ApiKey.__struct_fields__)
    assert found.key.id == "key_kid000000001"
    assert found.tenant == TenantSummary(id="alice", name="alice's own", plan="pro")
    limits = [LimitStatus(name="pro", limit=600, window_s=60, remaining=599, reset_s=60)]
    if own is not None:
        limits.append(LimitStatus(name="key", limit=50, window_s=60, remaining=49, reset_s=60))
    assert found.limits == limits
    assert answer.headers["x-ratelimit-remaining"] == str(limits[-1].remaining)


async def test_it_takes_one_request_from_the_limit() -> None:
    """Looking costs what every request costs."""
    served = Served()
    served.add_key("k", key(tenant(limit=2)))
    assert [(await served.get(SELF, "k")).status for _ in range(3)] == [200, 200, 429]


async def test_the_chosen_tenant_is_shown() -> None:
    """With X-Tenant-ID a granted key sees the plan that applies."""
    served = Served()
    served.add_key("k", key(granted=[tenant("bob", 600, "pro")]))
    answer = await served.get(SELF, "k", ("x-tenant-id", "bob"))
    assert answer.json["tenant"]["id"] == "bob"
    assert answer.json["limits"][0]["name"] == "pro"


async def test_a_secret_in_its_grace_period_may_not_look() -> None:
    """Design 4: it can do none of what a key may do to itself."""
    served = Served()
    served.add_key("old", key(), is_previous=True, expires_at_us=served.clock.now_us + 1)
    answer = await served.get(SELF, "old")
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    assert (served.uses.uses, served.uses.refused) == ([], [key().kid]), "its owner learns that a program holds it"
