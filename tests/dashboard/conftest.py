"""A whole server in this process, and people with browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.support.browser import Browser
from tests.support.installation import HOME, STRANGER, Installation, installed
from tests.support.people import add_person, sign_in

from aitbc_server.users.roles import Role


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """A fresh installation with three tenants, and one person in each role of acme; a stranger owns globex."""
    async with installed(tmp_path) as fresh:
        for role in Role:
            await add_person(fresh, role, (HOME, role))
        await add_person(fresh, "stranger", (STRANGER, Role.OWNER))
        await add_person(fresh, "nobody")
        yield fresh


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    """The started server."""
    async with installation.client() as client:
        yield client


class People:
    """Browsers, by who is signed in to them."""

    def __init__(self, installation: Installation, client: httpx2.AsyncClient) -> None:
        self._installation = installation
        self._client = client

    def anonymous(self) -> Browser:
        """A browser that nobody is signed in to."""
        return Browser(self._client)

    async def __call__(self, name: str) -> Browser:
        """A browser of somebody, who has just signed in."""
        return await sign_in(self._installation, self.anonymous(), f"usr_{name}")


@pytest.fixture
def people(installation: Installation, client: httpx2.AsyncClient) -> People:
    """Everybody's browsers."""
    return People(installation, client)
