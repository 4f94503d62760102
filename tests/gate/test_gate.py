"""The gate as a whole, without HTTP: cache, source, decision and store together."""

from __future__ import annotations

import logging

import pytest
from tests.gate.factories import ANY, GateParts, RemoteStore, facts, key, tenant

from aitbc_server.errors import Code
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import Refusal
from aitbc_server.gate.gate import INVALID, TOO_MANY_FAILURES, UNAVAILABLE, Decision, retry_after_s
from aitbc_server.gate.store import Taken

TEXT = b"a right secret"


class Remote(GateParts):
    """A gate whose limits are kept elsewhere."""

    def __init__(self) -> None:
        local = GateParts()
        self.remote = RemoteStore(local.memory)
        super().__init__(self.remote)
        self.counter = local.counter


@pytest.fixture(params=["in memory", "elsewhere"])
def parts(request: pytest.FixtureRequest) -> GateParts:
    """A gate that knows one key, with limits in this process's memory and elsewhere: both decide the same."""
    made = GateParts() if request.param == "in memory" else Remote()
    made.add(TEXT, Credential(key(tenant(limit=2))))
    return made


async def check(parts: GateParts, text: bytes = TEXT, ip: str | None = "192.0.2.1") -> Decision:
    return await parts.gate.check(text, facts(ip=ip), 1)


async def test_a_right_key_passes_until_its_limit(parts: GateParts) -> None:
    """The answer says who it was, which limits apply and what is left of them."""
    first, second, third = [await check(parts) for _ in range(3)]
    assert first.credential == parts.source.credentials[TEXT]
    assert first.tenant == tenant(limit=2)
    assert (first.refusal, second.refusal, first.cost) == (None, None, 1)
    assert first.taken is not None
    assert first.taken.levels[0].remaining == 1
    assert third.refusal is not None
    assert third.refusal.code is Code.RATE_LIMIT_EXCEEDED
    assert third.refusal.detail == "The rate limit is used up. Retry in 60 s, or ask for a larger plan."
    kid = "kid000000001"
    assert parts.counts() == {(kid, ANY.id, "allowed"): 2, (kid, ANY.id, "rate_limit_exceeded"): 1}


@pytest.mark.parametrize(
    ("plan", "own", "detail"),
    [
        (5, 2, "This API key's own limit is used up. Retry in 60 s."),
        (2, 5, "The rate limit is used up. Retry in 60 s, or ask for a larger plan."),
        (2, 2, "The rate limit is used up. Retry in 60 s, or ask for a larger plan."),
    ],
)
async def test_a_refusal_says_which_limit_it_was(parts: GateParts, plan: int, own: int, detail: str) -> None:
    """A larger plan is advised only where the plan had no room left."""
    parts.add(TEXT, Credential(key(tenant(limit=plan), limit=own)))
    third = [await check(parts) for _ in range(3)][-1]
    assert third.refusal is not None
    assert third.refusal.detail == detail


async def test_a_key_in_use_costs_one_query(parts: GateParts) -> None:
    """And another one after something of its tenant changed."""
    for _ in range(5):
        await check(parts)
    assert parts.source.asked == [TEXT]
    parts.cache.drop(["alice"])
    await check(parts)
    assert parts.source.asked == [TEXT, TEXT]


async def test_what_is_refused_takes_nothing_and_is_counted(parts: GateParts) -> None:
    """Under the reason; it is no use of the key."""
    parts.add(TEXT, Credential(key(tenant(limit=2), enabled=False)))
    for _ in range(3):
        decision = await check(parts)
        assert decision.taken is not None
        assert decision.taken.levels[0].remaining == 2
        assert decision.limits is not None
    assert parts.counts() == {("kid000000001", ANY.id, "disabled_api_key"): 3}
    assert parts.uses.uses == []


async def test_a_use_is_recorded_with_its_address(parts: GateParts) -> None:
    """Whether the limits let it in or not."""
    for _ in range(3):
        await check(parts)
    assert parts.uses.uses == [("kid000000001", "192.0.2.1")] * 3


@pytest.mark.parametrize("text", [b"", b"aitbc_live_wrong", b"\xff\x00", b"x" * 10_000, b"malformed"])
async def test_a_wrong_key_is_told_nothing(parts: GateParts, text: bytes) -> None:
    """Unknown, malformed or wrong: one answer, no limits, nobody's count. ASVS 6.3.8."""
    assert await check(parts, text) == Decision(INVALID)
    assert parts.counts() == {}


async def test_wrong_keys_are_never_cached(parts: GateParts) -> None:
    """A key that is made a moment later works at once."""
    await check(parts, b"new")
    parts.add(b"new", Credential(key(tenant("bob"), "kid000000002")))
    assert (await check(parts, b"new")).refusal is None


async def test_known_good_keys_pass_while_guesses_are_slowed(parts: GateParts) -> None:
    """From the guessing address itself; also right after a change dropped them. ASVS 6.1.1, 6.3.1."""
    await check(parts)
    for _ in range(30):
        assert (await check(parts, b"wrong")).refusal is INVALID
    assert (await check(parts, b"wrong")).refusal is TOO_MANY_FAILURES
    asked = len(parts.source.asked)
    assert (await check(parts)).refusal is None
    parts.cache.drop(["alice"])
    assert (await check(parts)).refusal is not TOO_MANY_FAILURES
    assert len(parts.source.asked) == asked + 1
    parts.add(b"unseen", Credential(key(tenant("bob"), "kid000000002")))
    assert (await check(parts, b"unseen")).refusal is TOO_MANY_FAILURES
    assert (await check(parts, b"unseen", "192.0.2.2")).refusal is None


async def test_a_new_key_is_expected_wherever_it_is_first_used(parts: GateParts) -> None:
    """Whoever was just handed a key is not refused for the guesses of others behind the same address. ASVS 6.1.1."""
    for _ in range(31):
        await check(parts, b"wrong")
    assert (await check(parts)).refusal is TOO_MANY_FAILURES
    parts.cache.expect(TEXT, ("alice", "live", "kid000000001"))
    assert (await check(parts)).refusal is None


async def test_malformed_texts_are_refused_without_a_look(parts: GateParts) -> None:
    """They count as failures, and leave the slowed address its lookup. ASVS 2.4.1."""
    answers = [(await check(parts, b"malformed")).refusal for _ in range(40)]
    assert answers == [INVALID] * 30 + [TOO_MANY_FAILURES] * 10
    assert parts.source.asked == []
    assert (await check(parts)).refusal is None


async def test_a_secret_that_was_replaced_becomes_a_guess(parts: GateParts) -> None:
    """It was good once; from its first failure on it is as slow as any other wrong one."""
    await check(parts)
    del parts.source.credentials[TEXT]
    parts.cache.drop(["alice"])
    asked = len(parts.source.asked)
    answers = [(await check(parts)).refusal for _ in range(40)]
    assert answers == [INVALID] * 30 + [TOO_MANY_FAILURES] * 10
    assert len(parts.source.asked) == asked + 31


async def test_connections_without_an_address_count_together(parts: GateParts) -> None:
    """Behind a socket file nobody guesses without being slowed down."""
    for _ in range(30):
        await check(parts, b"wrong", None)
    assert (await check(parts, b"wrong", None)).refusal is TOO_MANY_FAILURES


async def test_a_database_that_is_away_lets_nobody_new_in(parts: GateParts, caplog: pytest.LogCaptureFixture) -> None:
    """503 for keys that are not cached; cached ones go on. ASVS 16.5.3."""
    await check(parts)
    parts.source.is_away = True
    with caplog.at_level(logging.ERROR):
        assert (await check(parts, b"other")).refusal is UNAVAILABLE
    assert "away" in caplog.text
    assert (await check(parts)).refusal is None
    assert await parts.gate.recheck(b"other", facts()) is UNAVAILABLE


async def test_a_store_that_is_away_lets_nobody_in() -> None:
    """Without an answer about the limits there is no allow."""
    parts = Remote()
    parts.add(TEXT, Credential(key()))
    parts.remote.is_away = True
    assert (await check(parts)).refusal is UNAVAILABLE


async def test_a_granted_tenant_pays_where_it_is_chosen(parts: GateParts) -> None:
    """Its plan's limit and its usage apply, not those of the key's own tenant."""
    other = tenant("bob", limit=7, plan="pro")
    parts.add(TEXT, Credential(key(tenant(limit=2), granted=[other])))
    decision = await parts.gate.check(TEXT, facts(tenant_id="bob"), 1)
    assert decision.tenant == other
    assert decision.taken is not None
    assert decision.taken.levels[0].remaining == 6
    assert parts.counter.totals()[0].key[0] == ("bob", "live", "kid000000001")
    assert (await check(parts)).taken.levels[0].remaining == 1  # type: ignore[union-attr]


async def test_a_mismatch_is_counted_for_the_keys_own_tenant(parts: GateParts) -> None:
    """A stranger's name in a header writes nothing into the stranger's usage. ASVS 8.4.1."""
    decision = await parts.gate.check(TEXT, facts(tenant_id="bob"), 1)
    assert decision.tenant == tenant(limit=2)
    assert [count.key[0][0] for count in parts.counter.totals()] == ["alice"]


async def test_a_long_poll_looks_again(parts: GateParts) -> None:
    """It takes and counts nothing, and sees what changed meanwhile. ASVS 8.2.4, 8.3.2."""
    await check(parts)
    counts = parts.counts()
    assert await parts.gate.recheck(TEXT, facts()) is None
    parts.add(TEXT, Credential(key(revoked=True)))
    assert await parts.gate.recheck(TEXT, facts()) is None
    parts.cache.drop(["alice"])
    refusal = await parts.gate.recheck(TEXT, facts())
    assert refusal is not None
    assert refusal.code is Code.REVOKED_API_KEY
    assert await parts.gate.recheck(b"wrong", facts()) is INVALID
    assert parts.counts() == counts


async def test_keys_that_one_may_not_see_are_not_there(parts: GateParts) -> None:
    """The same way and the same work as for keys that nobody ever made, cached or not, slowed or not. ASVS 8.4.1."""

    async def find(text: bytes) -> Credential | Refusal:
        return await parts.gate.find(text, "192.0.2.9", lambda usage_id: usage_id[0] == "bob")

    await check(parts)
    for text in (TEXT, b"nobody's") * 15:
        asked = len(parts.source.asked)
        assert await find(text) is INVALID
        assert len(parts.source.asked) == asked + 1
    assert await find(TEXT) is TOO_MANY_FAILURES
    parts.cache.drop(["alice"])
    assert await find(TEXT) is TOO_MANY_FAILURES


@pytest.mark.parametrize(("wait_us", "seconds"), [(1, 1), (1_000_000, 1), (1_000_001, 2), (60_000_000, 60)])
def test_retry_after_is_rounded_up(wait_us: int, seconds: int) -> None:
    """Who waits so many whole seconds is never early."""
    assert retry_after_s(Taken(False, (), wait_us)) == seconds
