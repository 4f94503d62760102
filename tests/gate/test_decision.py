"""The order of the decision is a contract: of two reasons to refuse, the earlier one is told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from tests.gate.factories import ANY, START_US, GateParts, facts, key, tenant

from aitbc.schemas.scopes import Scope
from aitbc_server.errors import Code
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import (
    EXPIRED,
    IP_NOT_ALLOWED,
    NOT_BY_PREVIOUS_SECRET,
    NOT_TO_ITSELF,
    REPLACED,
    TENANT_MISMATCH,
    TENANT_SUSPENDED,
    Facts,
    Refusal,
    acting_tenant,
    missing_scope,
    refusal,
)
from aitbc_server.gate.operations import Operation

TEXT = b"a secret"


class Situation(NamedTuple):
    """A request that is fine, until reasons to refuse it are added."""

    fields: dict[str, Any]
    tenant: dict[str, Any]
    credential: dict[str, Any]
    facts: dict[str, Any]


# In the order of design section 6, each with what makes it so.
REASONS: list[tuple[Code, Callable[[Situation], None]]] = [
    (Code.REVOKED_API_KEY, lambda s: s.fields.update(revoked=True)),
    (Code.DISABLED_API_KEY, lambda s: s.fields.update(enabled=False)),
    (Code.EXPIRED_API_KEY, lambda s: s.fields.update(expires_at_us=START_US)),
    (Code.TENANT_MISMATCH, lambda s: s.facts.update(tenant_id="somebody-else")),
    (Code.TENANT_SUSPENDED, lambda s: s.tenant.update(suspended=True)),
    (Code.IP_NOT_ALLOWED, lambda s: s.fields.update(networks=["10.0.0.0/8"])),
    (Code.INSUFFICIENT_SCOPE, lambda s: s.facts.update(operation=Operation("audit.list", Scope.AUDIT_READ))),
    (Code.RATE_LIMIT_EXCEEDED, lambda s: s.tenant.update(limit=1)),
]


async def decide(reasons: tuple[int, ...]) -> Code | None:
    """The code of the second request in the same minute, for these reasons at once."""
    situation = Situation({}, {}, {}, {})
    for number in reasons:
        REASONS[number][1](situation)
    parts = GateParts()
    plain = key(tenant())
    parts.add(TEXT, Credential(plain))
    # The first request uses up a limit of 1, and is not refused for any of the reasons.
    await parts.gate.check(TEXT, facts(), 1)
    parts.cache.drop(["alice"])
    parts.add(TEXT, Credential(key(tenant(**situation.tenant), **situation.fields)))
    decision = await parts.gate.check(TEXT, facts(**situation.facts), 1)
    return None if decision.refusal is None else decision.refusal.code


async def test_a_request_without_a_reason_to_refuse_it_is_let_in() -> None:
    """The situations below start from one that is fine."""
    assert await decide(()) is None


@pytest.mark.parametrize("reason", range(len(REASONS)), ids=lambda number: REASONS[number][0])
async def test_each_reason_alone(reason: int) -> None:
    """Each code has its cause."""
    assert await decide((reason,)) is REASONS[reason][0]


@pytest.mark.parametrize("pair", list(combinations(range(len(REASONS)), 2)), ids=str)
async def test_the_earlier_of_two_reasons_wins(pair: tuple[int, int]) -> None:
    """Whoever may not know more is not told more: nothing about scopes to who comes from a wrong address."""
    assert await decide(pair) is REASONS[pair[0]][0]


async def test_all_reasons_at_once() -> None:
    """The first of all."""
    assert await decide(tuple(range(len(REASONS)))) is Code.REVOKED_API_KEY


def refused(credential: Credential, asked: Facts, now_us: int = START_US) -> Refusal | None:
    return refusal(credential, asked, acting_tenant(credential, asked.tenant_id), now_us)


def test_a_key_expires_at_its_moment() -> None:
    """A microsecond before it is good, at the moment itself no more."""
    credential = Credential(key(expires_at_us=START_US))
    assert refused(credential, facts(), START_US - 1) is None
    assert refused(credential, facts(), START_US) is EXPIRED


def test_a_replaced_secret_ends_with_its_grace_period() -> None:
    """Whoever holds it is told that it was replaced."""
    credential = Credential(key(), is_previous=True, expires_at_us=START_US)
    assert refused(credential, facts(), START_US - 1) is None
    assert refused(credential, facts(), START_US) is REPLACED


@pytest.mark.parametrize(
    ("asserted", "expected"),
    [(None, None), ("alice", None), ("bob", None), ("carol", TENANT_MISMATCH), ("", TENANT_MISMATCH)],
)
def test_the_header_chooses_among_granted_tenants_only(asserted: str | None, expected: Refusal | None) -> None:
    """The header alone never gives access; the empty one is an assertion too. ASVS 4.1.3, 8.4.1."""
    credential = Credential(key(tenant("alice"), granted=[tenant("bob")]))
    assert refused(credential, facts(tenant_id=asserted)) is expected


def test_a_suspended_tenant_stops_its_keys_everywhere() -> None:
    """Also where they act for a tenant that granted them something, and a suspended granting tenant stops all."""
    home, other = tenant("alice", suspended=True), tenant("bob")
    assert refused(Credential(key(home, granted=[other])), facts(tenant_id="bob")) is TENANT_SUSPENDED
    home, other = tenant("alice"), tenant("bob", suspended=True)
    assert refused(Credential(key(home, granted=[other])), facts(tenant_id="bob")) is TENANT_SUSPENDED
    assert refused(Credential(key(home, granted=[other])), facts()) is None


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("not an address", False),
        ("", False),
        (None, False),
    ],
)
def test_allowed_addresses(ip: str | None, allowed: bool) -> None:
    """IPv4, IPv6 and IPv4 in IPv6; what is missing or unreadable is nowhere. ASVS 8.2.4."""
    credential = Credential(key(networks=["10.0.0.0/8", "2001:db8::/32"]))
    assert refused(credential, facts(ip=ip)) is (None if allowed else IP_NOT_ALLOWED)


OWN = Operation("api_keys.get", Scope.API_KEYS_READ, own_key=True)
UPDATE = Operation("api_keys.update", Scope.API_KEYS_WRITE, never_own=True)
SELF = Operation("api_keys.self", own_key=True)
NEEDS_READ = missing_scope(Scope.API_KEYS_READ)


@pytest.mark.parametrize("previous", [False, True])
@pytest.mark.parametrize(
    ("operation", "scopes", "key_id", "current", "in_grace"),
    [
        (ANY, [], None, None, None),
        (SELF, [], None, None, NOT_BY_PREVIOUS_SECRET),
        (OWN, [], "key_own", None, NOT_BY_PREVIOUS_SECRET),
        (OWN, ["api_keys:read"], "key_own", None, NOT_BY_PREVIOUS_SECRET),
        (OWN, [], "key_other", NEEDS_READ, NEEDS_READ),
        (OWN, ["api_keys:read"], "key_other", None, None),
        (OWN, [], None, None, NOT_BY_PREVIOUS_SECRET),
        (OWN, ["api_keys:read"], None, None, None),
        (UPDATE, ["api_keys:write"], "key_own", NOT_TO_ITSELF, NOT_TO_ITSELF),
        (UPDATE, ["api_keys:write"], "key_other", None, None),
        (UPDATE, [], "key_other", missing_scope(Scope.API_KEYS_WRITE), missing_scope(Scope.API_KEYS_WRITE)),
    ],
)
def test_who_may_do_what_to_a_key(
    operation: Operation,
    scopes: list[str],
    key_id: str | None,
    current: Refusal | None,
    in_grace: Refusal | None,
    previous: bool,
) -> None:
    """Design 4: to itself a key may do what needs no scope; a secret in its grace period may not. ASVS 8.2.1, 8.2.2."""
    credential = Credential(key(kid="own", scopes=scopes), is_previous=previous)
    assert refused(credential, facts(operation, key_id=key_id)) == (in_grace if previous else current)


@pytest.mark.parametrize("scope", ["JOBS:READ", "jobs:reader", "jobs", "jobs:*", "*", " jobs:read"])
def test_scopes_are_compared_whole(scope: str) -> None:
    """Case, prefixes and wildcards mean nothing."""
    asked = facts(Operation("jobs.list", Scope.JOBS_READ))
    assert refused(Credential(key(scopes=[scope])), asked) == missing_scope(Scope.JOBS_READ)
