"""What many keys have in common is held once, and what is prepared for the wire is right."""

from __future__ import annotations

import json

from tests.gate.factories import key, tenant

from aitbc_server.gate.records import limit_set, tenant_record


def test_equal_plans_share_their_limits() -> None:
    """A hundred thousand tenants on one plan hold its limit once."""
    assert key(tenant("alice"), "k1").limit_set is key(tenant("bob"), "k2").limit_set
    assert limit_set(tenant(limit=60), "k", None) is not limit_set(tenant(limit=61), "k", None)


def test_the_smallest_limit_is_the_most_that_a_request_may_cost() -> None:
    """The plan's or the key's own, whichever is lower."""
    assert limit_set(tenant(limit=60), "k", None).smallest == 60
    assert limit_set(tenant(limit=60), "k", 5).smallest == 5
    assert limit_set(tenant(limit=60), "k", 500).smallest == 60


def test_a_plan_may_have_any_name() -> None:
    """A percent sign in it is no instruction to the formats."""
    limits = limit_set(tenant(plan="100%d"), "k", 5)
    assert limits.state % (1, 2, 3, 4) == b'"100%d";r=1;t=2, "key";r=3;t=4'
    assert [each["name"] for each in json.loads(limits.status % (1, 2, 3, 4))] == ["100%d", "key"]


def test_a_tenants_name_is_escaped() -> None:
    """It is its owner's own words."""
    document = tenant_record("alice", 'Alice "the" <script>\n', "free", 60, suspended=False).document
    assert json.loads(document) == {"id": "alice", "name": 'Alice "the" <script>\n', "plan": "free"}
