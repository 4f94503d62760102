"""The model of the fence protocol holds, and notices each mechanism that is missing."""

from __future__ import annotations

import os

import pytest
from tests.fleet.fence_model import Flaw, explore

FULL = os.environ.get("AITBC_FULL") == "1"


@pytest.mark.parametrize(("nodes", "changes"), [(1, 1), (1, 2), *([(2, 1)] if FULL else [])])
def test_no_order_of_steps_breaks_a_promise(nodes: int, changes: int) -> None:
    """A request that begins after a change was answered is answered by the record with the change. (ASVS 8.3.2)

    Whatever dies in between, and whatever the store forgets.
    """
    found = explore(nodes=nodes, changes=changes)
    assert not found.way, "\n".join(found.way)
    assert found.moments > 1000


@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.name.lower())
def test_a_missing_mechanism_is_noticed(flaw: Flaw) -> None:
    """Without it there is a way to an answer by a record from before the change."""
    way = explore(flaw).way
    assert way
    assert "it answers by" in way[-1]
