"""Pages of a fleet: what one node decided is seen on another, live."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
from tests.fleet.conftest import StartFleet
from tests.support.browser import Browser
from tests.support.people import SESSION, add_person, sign_in
from tests.usage.world import World

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.users.roles import Role


async def until(lines: AsyncIterator[str], page: dict[str, str], name: str, words: str) -> None:
    """Read a stream of events until a piece of the page says this. What came along with another piece stays seen."""
    while words not in page.get(name, ""):
        line = await anext(lines)
        if line.startswith("data: "):
            page.update(json.loads(line.removeprefix("data: ")))


async def test_what_one_node_decided_is_seen_on_another(
    start_fleet: StartFleet, postgres_url: str, tmp_path: Path
) -> None:
    """The limit that all nodes share, and the first successful call, on a page that another node serves."""
    fleet = start_fleet(2)
    first, second = fleet.nodes
    first.create_tenant("acme", plan="free")
    key = first.create_key("acme", "client")
    database = Database(postgres_url)
    world = World(database, tmp_path, system_clock)  # type: ignore[arg-type]
    user_id = await add_person(world, "owner", ("acme", Role.OWNER))
    async with httpx2.AsyncClient(timeout=20) as client:
        browser = await sign_in(world, Browser(client), user_id)
        headers = {"cookie": f"{SESSION}={browser.cookies[SESSION]}"}
        async with client.stream("GET", f"{second.url}/overview/live?starting=yes", headers=headers) as answer:
            lines, page = answer.aiter_lines(), dict[str, str]()
            await until(lines, page, "limits", "60 left")
            called = await client.get(f"{first.url}/v1/api-keys/self", headers={"x-api-key": key})
            assert called.status_code == 200
            await until(lines, page, "limits", "59 left")
            await until(lines, page, "start", "Your first call succeeded")
    await database.close()
