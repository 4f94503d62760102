"""Fixtures for the tests of every store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.gate.stores_under_test import MemoryUnderTest, StoreUnderTest
from tests.gate.valkey_under_test import valkey_under_test


@pytest.fixture(params=["memory", "valkey"])
async def tested(request: pytest.FixtureRequest) -> AsyncIterator[StoreUnderTest]:
    """A fresh store of each kind."""
    if request.param == "memory":
        yield MemoryUnderTest()
        return
    async with valkey_under_test(request.getfixturevalue("valkey").address) as tested:
        yield tested
