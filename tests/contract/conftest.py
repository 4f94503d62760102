"""A whole server in process for each test of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.support.installation import Installation, installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that several processes end at about the same time."""
    items.sort(key=lambda item: "test_openapi_fuzzing" not in item.nodeid)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """A fresh installation with three tenants."""
    async with installed(tmp_path) as fresh:
        yield fresh


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    """The started server."""
    async with installation.client() as client:
        yield client
