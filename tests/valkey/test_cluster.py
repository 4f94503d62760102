"""On a cluster: each tenant with the master of its slot, wherever that is by now, and nobody else's trouble."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest
from tests.gate.factories import ANY, facts, key, tenant
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_groups import ValkeyCluster
from tests.valkey.nodes import MOST_S, Keys, Load, Node, another_connection, nodes, until

from aitbc_server.errors import Code
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.gate import Decision
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.store_cluster import ClusterStore, tenant_slot
from aitbc_server.gate.store_valkey import state_key
from aitbc_server.valkey.slots import slot_of


@pytest.fixture
def keys() -> Keys:
    """An empty database."""
    return Keys()


@pytest.fixture
async def made(cluster: ValkeyCluster, keys: Keys) -> AsyncIterator[list[Node]]:
    """Two nodes on it."""
    async with nodes(cluster.url, keys) as connected:
        yield connected


def tenants(cluster: ValkeyCluster, server: ValkeyProcess, count: int = 1) -> list[str]:
    """Tenants that no other test has, in slots that this server has now."""
    found: list[str] = []
    mine = cluster.slots(server)
    while len(found) < count:
        name = f"t-{uuid4().hex[:10]}"
        if tenant_slot(name) in mine:
            found.append(name)
    return found


async def codes(made: list[Node], text: bytes, count: int, tenant_id: str | None = None) -> Counter[Code | None]:
    """What so many requests are answered, on all nodes in turn."""
    return Counter([await made[number % len(made)].ask(text, tenant_id) for number in range(count)])


async def test_each_tenant_has_one_limit_wherever_it_is(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """Ten a minute are ten, on two nodes and three masters, and every decision is counted once."""
    names = [name for server in cluster.masters for name in tenants(cluster, server, 2)]
    asking = [codes(made, keys.add(name, limit=10), 14) for name in names]
    for answered in await asyncio.gather(*asking):
        assert answered == {None: 10, Code.RATE_LIMIT_EXCEEDED: 4}
    for name in names:
        assert await made[0].shared_counts(name) == {"allowed": 10, "rate_limit_exceeded": 4}


async def test_all_of_a_turn_and_a_slot_travel_in_one_call(
    cluster: ValkeyCluster, keys: Keys, made: list[Node]
) -> None:
    """However many requests wait."""
    first, second = tenants(cluster, cluster.masters[1], 2)
    texts = [keys.add(first), keys.add(second)]
    await asyncio.gather(*(made[0].ask(text) for text in texts))
    before = cluster.calls(cluster.masters[1], "evalsha")
    await asyncio.gather(*(made[0].ask(text) for text in texts for _ in range(50)))
    assert cluster.calls(cluster.masters[1], "evalsha") - before == 2


async def test_what_is_all_in_one_slot_is_decided_early(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """Without a task: the answer is there as the call's is read. A key for a tenant of another slot takes its time."""
    here, there = tenants(cluster, cluster.first)[0], tenants(cluster, cluster.masters[1])[0]
    texts = [keys.add(here), keys.add(there)]
    keys.credentials[texts[1]] = Credential(key(tenant(there), granted=[tenant(here)]))
    asked = [facts(ANY), facts(ANY, tenant_id=here)]
    for text, each in zip(texts, asked, strict=True):
        assert (await made[0].gate.check(text, each, 1)).refusal is None
    decided: list[Decision | Exception | None] = []
    for text, each in zip(texts, asked, strict=True):
        made[0].gate.check_early(text, each, 1, decided.append)
    assert decided == [None]
    await until(lambda: len(decided) == 2)
    assert isinstance(decided[1], Decision)


async def test_a_change_is_in_effect_on_every_node(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """Fences of tenants of all masters are raised in one go. ASVS 8.3.2."""
    names = [name for server in cluster.masters for name in tenants(cluster, server, 2)]
    texts = [keys.add(name) for name in names]
    assert {await node.ask(text) for text in texts for node in made} == {None}
    for text in texts:
        keys.revoke(text)
    assert await made[0].shared.raise_fences(names)
    assert {await made[1].ask(text) for text in texts} == {Code.REVOKED_API_KEY}


async def test_replicas_are_waited_for_once_a_change(cluster: ValkeyCluster, made: list[Node]) -> None:
    """A plan with tenants in many slots is changed in the time of one wait, not of one for each slot."""
    names = tenants(cluster, cluster.first, 40)
    before = cluster.calls(cluster.first, "wait")
    await until_raised(made[0], [names[0]])
    once = cluster.calls(cluster.first, "wait")
    assert once > before
    assert await made[0].shared.raise_fences(names)
    assert cluster.calls(cluster.first, "wait") - once == 1


async def until_raised(node: Node, names: list[str]) -> None:
    """A replica that has just come up says a second late what it has."""
    async with asyncio.timeout(MOST_S * 20):
        while not await node.shared.raise_fences(names):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_replicas_of_a_slots_next_master_are_waited_for(
    cluster: ValkeyCluster, keys: Keys, made: list[Node]
) -> None:
    """While keys are on their way, those that are there already are changed there, and so are the copies of them."""
    source, target = cluster.masters[1], cluster.first
    [name] = tenants(cluster, source)
    neighbour, slot = neighbour_of(name), tenant_slot(name)
    await until_raised(made[0], tenants(cluster, target))
    assert await made[0].ask(keys.add(name)) is None
    await asyncio.to_thread(cluster.begin_move, slot, source, target)
    before = cluster.calls(target, "wait")
    # The neighbour has no state yet, and would get it at the target.
    await until_raised(made[0], [name, neighbour])
    assert cluster.calls(target, "wait") > before
    await asyncio.to_thread(cluster.move_keys, slot, source, target)
    before = cluster.calls(target, "wait")
    await until_raised(made[0], [name])
    assert cluster.calls(target, "wait") > before
    await asyncio.to_thread(cluster.end_move, slot, source, target)


def neighbour_of(name: str) -> str:
    """Another tenant of the same slot."""
    return next(
        each for each in (f"n-{uuid4().hex[:10]}" for _ in itertools.count()) if slot_of(each) == tenant_slot(name)
    )


class Guest:
    """A key that acts for a tenant in another slot, and may have a limit of its own."""

    def __init__(self, cluster: ValkeyCluster, keys: Keys, *, plan: int, own: int | None = None) -> None:
        [self.home] = tenants(cluster, cluster.masters[1])
        [self.other] = tenants(cluster, cluster.masters[2])
        self.text = self.home.encode()
        self.granted = tenant(self.other, limit=plan)
        self._keys = keys
        keys.credentials[self.text] = Credential(key(tenant(self.home, limit=1000), granted=[self.granted], limit=own))

    def change(self, **fields: object) -> None:
        """The key's row is another one."""
        record = self._keys.credentials[self.text].record
        self._keys.credentials[self.text] = Credential(msgspec.structs.replace(record, **fields))


async def test_a_key_acts_for_a_tenant_of_another_master(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """The other tenant's plan is taken, on its master; each call to a master compares the fence that is there."""
    guest = Guest(cluster, keys, plan=5)
    assert await codes(made, guest.text, 7, guest.other) == {None: 5, Code.RATE_LIMIT_EXCEEDED: 2}
    assert await made[0].shared_counts(guest.other) == {"allowed": 5, "rate_limit_exceeded": 2}
    assert await made[0].shared_counts(guest.home) == {}
    guest.change(revoked=True)
    assert await made[0].shared.raise_fences([guest.home])
    assert await made[1].ask(guest.text, guest.other) is Code.REVOKED_API_KEY
    guest.change(revoked=False, granted={guest.other: msgspec.structs.replace(guest.granted, suspended=True)})
    assert await made[0].shared.raise_fences([guest.home, guest.other])
    assert await made[1].ask(guest.text, guest.other) is Code.TENANT_SUSPENDED


@pytest.mark.parametrize("own", [None, 5], ids=["compared", "taken"])
async def test_a_question_is_not_sent_on_a_connection_that_came_after_it(
    cluster: ValkeyCluster, keys: Keys, made: list[Node], own: int | None
) -> None:
    """Neither to the first master that is asked nor to the second, whose turn comes later. Nobody sets a fence here: an
    older store that came back would have the one that the node knows."""
    for is_second in (False, True):
        guest = Guest(cluster, keys, plan=5, own=own)
        assert await made[0].ask(guest.text, guest.other) is None
        suspended = msgspec.structs.replace(guest.granted, suspended=True)
        guest.change(granted={guest.other: suspended}, revoked=not is_second)
        store = made[0].shared.store
        assert isinstance(store, ClusterStore)
        first, second = (store._cluster.owner(tenant_slot(each)) for each in (guest.home, guest.other))
        assert first is not None
        assert second is not None
        replaced = second if is_second else first
        refused = Code.TENANT_SUSPENDED if is_second else Code.REVOKED_API_KEY
        async with another_connection(replaced, replaced.address, as_it_sends=first):
            assert await made[0].ask(guest.text, guest.other) is refused


@pytest.mark.parametrize(("plan", "own"), [(4, 6), (6, 4), (5, 5)])
async def test_a_limit_of_its_own_holds_over_tenants_of_several_masters(
    cluster: ValkeyCluster, keys: Keys, made: list[Node], plan: int, own: int
) -> None:
    """A request takes from both or from none: what one refuses is not missing in the other."""
    guest = Guest(cluster, keys, plan=plan, own=own)
    assert (await codes(made, guest.text, 8, guest.other))[None] == min(plan, own)
    counts = {"allowed": min(plan, own), "rate_limit_exceeded": 8 - min(plan, own)}
    assert await made[0].shared_counts(guest.other) == counts
    assert (await codes(made, guest.text, 8))[None] == own - min(plan, own)
    home = keys.credentials[guest.text].record
    levels = await made[0].shared.store.look(guest.home, home.limit_set)
    assert [level.remaining for level in levels] == [1000 - (own - min(plan, own)), 0]


async def test_a_slot_moves_key_by_key_under_load(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """What was taken is taken, before, while and after it moves; nobody gets an error."""
    source, target = cluster.masters[1:3]
    [name] = tenants(cluster, source)
    text = keys.add(name, limit=400)
    async with Load(made, [text]) as load:
        await load.asked(40)
        await asyncio.to_thread(cluster.begin_move, tenant_slot(name), source, target)
        await load.asked(40)
        await asyncio.to_thread(cluster.move_keys, tenant_slot(name), source, target)
        await load.asked(40)
        await asyncio.to_thread(cluster.end_move, tenant_slot(name), source, target)
        await load.asked(40)
    alone = sum(node.counted_alone(name) for node in made)
    taken = Counter(load.codes[text])
    assert set(taken) <= {None, Code.RATE_LIMIT_EXCEEDED}
    left = await codes(made, text, 450)
    assert taken[None] + left[None] - alone <= 400
    assert alone or taken[None] + left[None] == 400
    assert max(node.slowest_s for node in made) < MOST_S
    assert cluster.owner(tenant_slot(name)) is target


async def test_a_slot_moves_as_a_whole_under_load(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """Valkey 9 hands a slot over at once: nothing is decided alone, and the limit is exact."""
    source, target = cluster.masters[1:3]
    [name] = tenants(cluster, source)
    text = keys.add(name, limit=300)
    assert await codes(made, text, 10) == {None: 10}
    async with Load(made, [text]) as load:
        await load.asked(20)
        slot = tenant_slot(name)
        moved = cluster.ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", cluster.id(target))
        assert moved == b"OK"
        await until(lambda: cluster.owner(slot) is target)
        await load.asked(40)
    assert sum(node.counted_alone(name) for node in made) == 0
    taken = Counter(load.codes[text])
    left = await codes(made, text, 300)
    assert 10 + taken[None] + left[None] == 300
    keys.revoke(text)
    assert await made[0].shared.raise_fences([name])
    assert await made[1].ask(text) is Code.REVOKED_API_KEY


async def test_a_master_that_is_killed_leaves_its_own_tenants_alone_and_no_others(
    cluster: ValkeyCluster, keys: Keys, made: list[Node]
) -> None:
    """Its replica takes over; then its tenants are limited by all nodes together again. Goals A5 and A6."""
    dies, stays = cluster.first, cluster.masters[1]
    [hit], [spared], [gone] = tenants(cluster, dies), tenants(cluster, stays), tenants(cluster, dies)
    texts = [keys.add(hit), keys.add(spared)]
    assert await made[1].ask(keys.add(gone)) is None
    async with Load(made, texts) as load:
        await load.asked(20)
        keys.revoke(gone.encode())
        assert await made[0].shared.raise_fences([gone])
        dies.kill()
        refused = [await made[number % 2].ask(gone.encode()) for number in range(20)]
        await until(lambda: all(node.shared.state == "away" for node in made))
        await load.asked(20)
        await until(lambda: cluster.owner(tenant_slot(hit)) is not dies)
        for node in made:
            await node.until("up")
        await load.asked(20)
        before = [node.counted_alone(hit) for node in made]
        await load.asked(20)
        assert [node.counted_alone(hit) for node in made] == before
    assert {code for answers in load.codes.values() for code in answers} == {None}
    assert set(refused) == {Code.REVOKED_API_KEY}
    assert await made[1].ask(gone.encode()) is Code.REVOKED_API_KEY
    assert min(before) > 0
    # A busy machine may hold up a server that lives, too, for longer than a call may take.
    assert sum(node.counted_alone(spared) for node in made) < sum(before) / 20
    assert max(node.slowest_s for node in made) < MOST_S
    [strict] = tenants(cluster, cluster.first)
    assert await codes(made, keys.add(strict, limit=10), 15) == {None: 10, Code.RATE_LIMIT_EXCEEDED: 5}


async def test_a_master_that_hands_over_costs_no_request(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """Calls are sent on to the new one; the old one is a replica by then."""
    before = cluster.first
    [name] = tenants(cluster, before)
    text = keys.add(name)
    async with Load(made, [text]) as load:
        await load.asked(20)
        assert cluster.ask(cluster.replica, "CLUSTER", "FAILOVER") == b"OK"
        await until(lambda: cluster.owner(tenant_slot(name)) is not before)
        await load.asked(40)
    assert set(load.codes[text]) == {None}
    assert max(node.slowest_s for node in made) < MOST_S
    counted = sum((await made[0].shared_counts(name)).values()) + sum(node.counted_alone(name) for node in made)
    assert counted == len(load.codes[text])


async def test_a_seed_that_is_gone_is_no_harm(cluster: ValkeyCluster, keys: Keys) -> None:
    """One address that answers is enough to find all masters."""
    url = f"valkey+cluster://127.0.0.1:1,127.0.0.1:{cluster.masters[2].port}"
    async with nodes(url, keys, 1) as [node]:
        [name] = tenants(cluster, cluster.first)
        assert await node.ask(keys.add(name)) is None
        assert await node.shared_counts(name) == {"allowed": 1}
        assert state_key(name) in cluster.ask(cluster.first, "KEYS", f"*{name}*")[0].decode()


async def test_changes_and_counts_follow_a_slot(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """While it is on its way, and when it has arrived and the node does not know it yet."""
    source, target = cluster.masters[1:3]
    [name] = tenants(cluster, source)
    text, slot = keys.add(name), tenant_slot(name)
    assert await made[1].ask(text) is None
    record = keys.credentials[text].record
    await asyncio.to_thread(cluster.begin_move, slot, source, target)
    await asyncio.to_thread(cluster.move_keys, slot, source, target)
    assert await made[0].shared.raise_fences([name])
    assert await made[0].shared_counts(name) == {"allowed": 1}
    [level] = await made[0].shared.store.look(name, record.limit_set)
    assert level.remaining == record.limit_set.smallest - 1
    keys.revoke(text)
    assert await made[0].shared.raise_fences([name])
    assert await made[1].ask(text) is Code.REVOKED_API_KEY
    await asyncio.to_thread(cluster.end_move, slot, source, target)
    assert await made[0].shared.raise_fences([name])
    assert sum((await made[1].shared_counts(name)).values()) == 2


async def test_a_slot_that_nobody_has_is_nobody_elses_trouble(
    cluster: ValkeyCluster, keys: Keys, made: list[Node]
) -> None:
    """Its tenants go on alone, others do not; so it is with a drain."""
    server = cluster.masters[1]
    orphan, other = tenants(cluster, server, 2)
    texts = [keys.add(orphan), keys.add(other)]
    assert [await made[0].ask(text) for text in texts] == [None, None]
    assert cluster.ask(server, "CLUSTER", "DELSLOTS", tenant_slot(orphan)) == b"OK"
    try:
        assert [await made[0].ask(text) for text in texts] == [None, None]
        assert [made[0].counted_alone(name) for name in (orphan, other)] == [1, 0]
        assert not await made[0].shared.raise_fences([orphan, other])
        drained = await made[0].shared.store.drain({orphan: (), other: ()})
        assert list(drained) == [other]
        assert orphan in made[0].shared.store.touched
        with pytest.raises(StoreUnavailableError):
            await made[0].shared.store.drain({orphan: ()})
    finally:
        cluster.ask(server, "CLUSTER", "ADDSLOTS", tenant_slot(orphan))
    await until(lambda: b"cluster_slots_assigned:16384" in cluster.ask(cluster.masters[2], "CLUSTER", "INFO"))
    assert await made[0].shared_counts(orphan) == {"allowed": 1}


async def test_a_master_that_hangs_is_waited_for_once(cluster: ValkeyCluster, keys: Keys, made: list[Node]) -> None:
    """A quarter of a second; then its tenants are limited by the node alone, and nobody else is. Goal A5."""
    hangs = cluster.masters[1]
    [hit], [spared] = tenants(cluster, hangs), tenants(cluster, cluster.masters[2])
    texts = [keys.add(hit), keys.add(spared)]
    assert [await made[0].ask(text) for text in texts] == [None, None]
    hangs.hang()
    try:
        assert [await made[0].ask(text) for text in texts for _ in range(5)] == [None] * 10
        assert made[0].shared.state == "hung"
        assert made[0].slowest_s < MOST_S
        # The one that was given up is counted when it is known that the store did not.
        assert [made[0].counted_alone(name) for name in (hit, spared)] == [4, 0]
    finally:
        hangs.go_on()
    await made[0].until("up")
    await until(lambda: made[0].counted_alone(hit) == 5)
    assert await made[0].ask(texts[0]) is None
    assert made[0].counted_alone(hit) == 5
    assert await made[0].shared_counts(hit) == {"allowed": 2}
