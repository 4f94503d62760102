"""The model of the fence protocol holds, and notices each mechanism that is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from tests.fleet.fence_model import Fault, Flaw, explore

FULL = os.environ.get("AITBC_FULL") == "1"
#: So many steps are enough to see any one mechanism missing.
DEPTH = 17
STORE: tuple[Fault, ...] = ()


@pytest.mark.parametrize("faults", [STORE, *((each,) for each in Fault)], ids=["store", *(each.name for each in Fault)])
def test_no_order_of_steps_breaks_a_promise(faults: Sequence[Fault]) -> None:
    """A request that begins after a change was answered is answered by the record with the change. (ASVS 8.3.2)

    Whatever dies in between, and whatever the store forgets: every order that there is of one node's steps and theirs.
    """
    found = explore(nodes=1, faults=faults)
    assert not found.way, "\n".join(found.way)
    assert found.moments > 3000


def test_no_order_of_two_changes_breaks_a_promise() -> None:
    """The second one may overtake what is left of the first."""
    found = explore(nodes=1, changes=2)
    assert not found.way, "\n".join(found.way)
    assert found.moments > 10_000


def test_no_order_of_two_nodes_steps_breaks_a_promise() -> None:
    """Two nodes, a store that may lose data, a database that may die: every order of the first steps. With
    AITBC_FULL=1, of all."""
    found = explore(nodes=2, faults=[Fault.DATABASE_DIES], depth=None if FULL else DEPTH)
    assert not found.way, "\n".join(found.way)
    assert found.moments > 100_000


@pytest.mark.skipif(not FULL, reason="minutes: with AITBC_FULL=1")
@pytest.mark.parametrize("fault", [Fault.REPLICA_TAKES_OVER, Fault.PUT_BACK_BY_HAND], ids=lambda fault: fault.name)
def test_no_order_of_two_nodes_steps_breaks_it_with_other_faults(fault: Fault) -> None:
    """As far as memory goes."""
    found = explore(nodes=2, faults=[fault], depth=DEPTH + 2)
    assert not found.way, "\n".join(found.way)
    assert found.moments > 100_000


@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.name.lower())
def test_a_missing_mechanism_is_noticed(flaw: Flaw) -> None:
    """Without it there is a way to an answer by a record from before the change."""
    way = explore(flaw, nodes=2 if FULL else 1, faults=flaw.shows_with).way
    assert way
    assert "it answers by" in way[-1]
    assert len(way) <= DEPTH
