"""Requests that are right, route by route, so that tests can make one thing of them wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import httpx2
from tests.contract.expectations import RULES
from tests.support.installation import HOME, Installation
from tests.usage.world import Key

from aitbc.schemas.scopes import Scope

JSON = {"Content-Type": "application/json"}


class Ask(NamedTuple):
    """One request that is allowed: ``json`` is what its route takes."""

    method: str
    path: str
    url: str
    json: Mapping[str, Any] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Owner(NamedTuple):
    """Who may do everything, and some objects of theirs."""

    key: Key
    other_key: Key
    job_id: str

    @property
    def headers(self) -> dict[str, str]:
        """What presents the key."""
        return dict(self.key.headers)

    def asks(self, *, public: bool = False) -> Iterator[Ask]:
        """A right request for each route that needs a key, and for the others where they are asked for."""
        for (method, path), rule in RULES.items():
            if public or not rule.public:
                url = path.replace("{key_id}", self.other_key.id).replace("{job_id}", self.job_id)
                yield Ask(method, path, url, rule.body)

    def writes(self) -> Iterator[Ask]:
        """Those of them that have a body."""
        return (ask for ask in self.asks() if ask.json is not None)


async def owner_of(installation: Installation, client: httpx2.AsyncClient) -> Owner:
    """A key with every scope; a key and a job that it may see and change."""
    key = await installation.add_key(HOME, scopes=Scope)
    other = await installation.add_key(HOME, scopes=[])
    answer = await client.post("/v1/jobs", headers=dict(key.headers), json=RULES["POST", "/v1/jobs"].body)
    return Owner(key, other, str(answer.json()["job_id"]))


async def pieces(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """A body that is sent without saying how long it is."""
    for start in range(0, len(body), size):
        yield body[start : start + size]
