"""How long a request waits for the store that a fleet shares when it has to ask more than once, and what then."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.gate.test_shared_gate import Node, database, first, is_early

from aitbc_server.gate.batch import Tell
from aitbc_server.gate.shared_store import Stale

__all__ = ["database", "first", "is_early"]


def stale_after(node: Node, delay_s: float, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Every answer is that the key has changed. Returns until when each question would have waited."""
    asked: list[float | None] = []

    async def stale(*_: Any, until_s: float | None = None) -> Stale:
        asked.append(until_s)
        await asyncio.sleep(delay_s)
        return Stale({"alice": f"{len(asked):16}"})

    def tell_that_it_is_stale(tell: Tell, *_: Any) -> bool:
        asked.append(None)
        asyncio.get_running_loop().call_later(delay_s, tell, Stale({"alice": f"{len(asked):16}"}))
        return True

    monkeypatch.setattr(node.store, "ask", tell_that_it_is_stale)
    monkeypatch.setattr(node.store, "take", stale)
    monkeypatch.setattr(node.store, "timeout_s", 0.25)
    return asked


async def test_a_request_that_asks_again_waits_no_longer_altogether(
    first: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are each a little late share the time of one: then the node decides by itself. Goal A5."""
    asked = stale_after(first, 0.1, monkeypatch)
    began_s = time.monotonic()
    assert await first.code() is None
    assert time.monotonic() - began_s < 0.25 + 0.2
    assert first.own() == {"allowed": 1}
    assert asked[0] is None
    for until_s in asked[1:]:
        assert until_s is not None
        assert until_s <= began_s + 0.25 + 0.05
    assert len(asked) <= 3
