"""The simulation says what theory says, and the same each time."""

from __future__ import annotations

import re

import pytest
from bench.simulate import ONE_REGION, PACES, PAGE, SEED, batch_table, batching
from bench.simulation.compare import POLICIES, run
from bench.simulation.engine import Simulation, Store
from bench.simulation.judge import Judge
from bench.simulation.plots import bars
from bench.simulation.policies import FixedWindow, SlidingCounter
from bench.simulation.trace import Load, Request, arrivals
from bench.simulation.world import Topology

SMALL = Load(tenants=60, requests_per_s=120.0, seconds=130.0)


@pytest.mark.parametrize("name", [name for name in POLICIES if name.startswith("exact")])
def test_what_is_exact_lets_nobody_have_more(name: str) -> None:
    """Not in one window, also while shares move between regions; and the arrivals do reach the limit."""
    found = run(name, SMALL, Topology(), seed=1)
    assert (found.worst_window, found.over, found.tenants_over) == (1.0, 0.0, 0)
    assert found.refused > 0.1


def test_one_store_a_tenant_refuses_nobody_wrongly() -> None:
    """The promise of the product, in one region and with journeys."""
    for topology in (ONE_REGION, Topology()):
        assert run("exact, one home store a tenant", SMALL, topology, seed=2).wrongly_refused == 0


def test_what_is_not_exact_is_seen() -> None:
    """The judge finds each of the others out; shares that move refuse less than equal ones."""
    found = {name: run(name, SMALL, Topology(), seed=3) for name in POLICIES}
    approximate = [each for name, each in found.items() if not name.startswith("exact")]
    assert all(each.worst_window > 1 and each.tenants_over for each in approximate)
    moving, equal = found["exact, shares that move"], found["exact, equal shares"]
    assert 0 < moving.wrongly_refused < equal.wrongly_refused
    assert found["sliding counters, one home store"].wrongly_refused > 0
    assert moving.p99_s < 0.01 < found["exact, one home store a tenant"].p99_s


def test_the_same_seed_gives_the_same_figures() -> None:
    """Figures can be checked by whoever reads them."""
    assert run("exact, shares that move", SMALL, Topology(), 4) == run("exact, shares that move", SMALL, Topology(), 4)
    assert [*arrivals(SMALL, regions=3, nodes=2, seed=5)] != [*arrivals(SMALL, regions=3, nodes=2, seed=6)]


def test_a_fixed_window_lets_twice_the_limit_through() -> None:
    """Within a second around the full minute."""
    fixed = FixedWindow(10)
    assert sum(fixed.take(59.5) for _ in range(20)) + sum(fixed.take(60.5) for _ in range(20)) == 20


def test_a_sliding_counter_takes_the_last_minute_as_even() -> None:
    """Half of it counts in the middle of the next one, whenever it really came."""
    sliding = SlidingCounter(10)
    assert sum(sliding.take(1.0) for _ in range(20)) == 10
    assert sum(sliding.take(90.0) for _ in range(20)) == 5


def test_the_judge_knows_the_edges_of_a_window() -> None:
    """(t - 60 s, t]: what came exactly 60 s ago has left."""
    judge = Judge(lambda _: 1)
    request = Request(0.0, 0, 0, 0)
    judge.decided(request, 0.0, allowed=True)
    judge.decided(request, 59.9, allowed=False)
    judge.decided(request, 60.0, allowed=False)
    judge.decided(request, 60.0, allowed=True)
    judge.decided(request, 119.0, allowed=True)
    assert (judge.wrongly_refused, judge.over, judge.worst_window) == (1, 1, 2.0)


def test_a_store_does_one_thing_at_a_time() -> None:
    """A call waits for the ones before it, and costs more with more in it."""
    simulation, ended_s = Simulation(), list[float]()
    store = Store(simulation, call_s=1.0, request_s=0.5)
    for requests in (2, 4):
        store.call(requests, lambda: ended_s.append(simulation.now_s))
    simulation.run(until_s=100.0)
    assert (ended_s, store.calls) == ([2.0, 5.0], 2)


def test_a_busy_node_sends_more_in_a_call() -> None:
    """What waits in one turn travels together."""
    calls = [
        run("exact, one home store a tenant", Load(requests_per_s=pace, seconds=0.5, away=0.0), ONE_REGION, 7)
        for pace in (1_000.0, 40_000.0)
    ]
    assert calls[0].calls_a_request > 0.9
    assert calls[1].calls_a_request < 0.7


def test_the_page_has_the_tables_and_plots() -> None:
    """Written by ``python -m bench.simulate --write``: calls as the simulation says, plots as the table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert set(batch_table(batching(SEED, PACES[:2])).splitlines()) <= set(lines)
    over, wrong = (PAGE.with_name(f"scale-{name}.svg").read_text(encoding="utf-8") for name in ("over", "wrong"))
    rows = [cells for cells in (line.strip("| ").split(" | ") for line in lines) if cells[0] in POLICIES]
    assert [cells[0] for cells in rows] == list(POLICIES)
    for plot, column in ((over, 1), (wrong, 4)):
        figures = re.findall(r'x="[^8"]+" y="\d+">([\d.]+)', plot)
        assert figures == [cells[column].rstrip(" N%") for cells in rows]
    assert bars("A < B", [("x", 2.0)], ".1f", good_until=1).count("2.0 !") == 1
    assert "A &lt; B" in bars("A < B", [("x", 2.0)], ".1f", good_until=1)
