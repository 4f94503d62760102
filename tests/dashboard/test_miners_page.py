"""The Miners page as people without JavaScript use it: who runs jobs, and whether they are there."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from tests.dashboard.conftest import People
from tests.support.browser import Page
from tests.support.installation import HOME, STRANGER, Installation
from tests.usage.world import Key

SECOND_US = 1_000_000


async def register(client: httpx2.AsyncClient, key: Key, miner_id: str, **fields: Any) -> None:
    """Register a miner with a key."""
    url = f"/v1/miners/register?miner_id={miner_id}"
    answer = await client.post(url, json=fields, headers={"X-API-Key": key.text})
    assert answer.status_code == 200, answer.text


async def beat(client: httpx2.AsyncClient, key: Key, **fields: Any) -> None:
    """Send a heartbeat."""
    answer = await client.post("/v1/miners/heartbeat", json=fields, headers={"X-API-Key": key.text})
    assert answer.status_code == 200, answer.text


def rows(page: Page) -> int:
    """How many miners are listed."""
    return len([1 for tag, a in page.elements if tag == "th" and a.get("scope") == "row"])


async def test_no_miners_yet(people: People) -> None:
    """It says how one is started, and offers a key to who may make one."""
    owner, viewer = await (await people("owner")).get("/miners"), await (await people("viewer")).get("/miners")
    for page in (owner, viewer):
        assert "No miners yet" in page.text
        assert page.ids["command"].strip() == "aitbc miners run"
    assert "/api-keys/new" in owner.links
    assert "/api-keys/new" not in viewer.links


async def test_what_is_told_of_a_miner(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """Name, key, environment, region, what it can do, how much it does, when it was seen."""
    key = await installation.add_key(HOME, "test")
    capabilities = {"gpu": "A100", "models": ["llama", "qwen"], "fp8": True, "vram_gb": 80, "x": 1, "y": {"z": 2}}
    await register(client, key, "rig-7", capabilities=capabilities, concurrency=4, region="eu-west")
    await beat(client, key, inflight=3, status="DRAINING")
    page = await (await people("viewer")).get("/miners")
    for words in ("rig-7", "Online", "says “DRAINING”", "Test", "eu-west", "3 of 4", "just now", "and 2 more"):
        assert words in page.text
    for words in ("gpu: A100", "models: llama, qwen", "fp8", "vram_gb: 80"):
        assert words in page.text
    assert f"/api-keys/{key.id}" in page.links
    assert f"with a key {key.id}" in page.text
    installation.clock.now_us += 91 * SECOND_US
    page = await (await people("viewer")).get("/miners")
    assert "Offline" in page.ids.get("main", page.text)
    assert "1 minute ago" in page.text
    assert "3 of 4" not in page.text


async def test_miners_are_found(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """By name, region, status and environment; through many; other tenants' are not there."""
    live, test = await installation.add_key(HOME), await installation.add_key(HOME, "test")
    await register(client, await installation.add_key(STRANGER), "strange-rig")
    await register(client, test, "sleeper", region="US-east")
    installation.clock.now_us += 100 * SECOND_US
    for number in range(30):
        installation.clock.now_us += 1_000
        await register(client, live, f"rig-{number:02}", region="eu")
    browser = await people("viewer")
    first = await browser.get("/miners")
    assert rows(first) == 25
    assert first.text.index("rig-29") < first.text.index("rig-05")
    assert "strange-rig" not in first.text
    [older] = [link for link in first.links if "cursor=" in link]
    second = await browser.get(older)
    assert rows(second) == 6
    assert "/miners" in second.links
    for query, words in (("q=us-E", "sleeper"), ("q=RIG-03", "rig-03"), ("status=OFFLINE", "sleeper")):
        page = await browser.get(f"/miners?{query}")
        assert (rows(page), words in page.text) == (1, True), query
    assert rows(await browser.get("/miners?environment=test&q=")) == 1
    [older] = [link for link in (await browser.get("/miners?status=ONLINE&q=rig")).links if "cursor=" in link]
    assert rows(await browser.get(older)) == 5
    nothing = await browser.get("/miners?q=100%25")
    assert "No miner matches" in nothing.text
    assert dict(nothing.form("/miners").fields)["q"] == "100%"
    assert (await browser.get("/miners?status=AWAY")).status == 422
    assert (await browser.get("/miners?q=a%00b")).status == 422
    assert (await browser.get(older.replace("q=rig", "q=ri"))).status == 400


async def test_one_that_has_just_come_back_is_not_offline(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """What was heard and is not written down yet counts."""
    key = await installation.add_key(HOME)
    await register(client, key, "rig")
    installation.clock.now_us += 200 * SECOND_US
    browser = await people("viewer")
    assert rows(await browser.get("/miners?status=OFFLINE")) == 1
    await beat(client, key)
    assert rows(await browser.get("/miners?status=OFFLINE")) == 0
    assert rows(await browser.get("/miners?status=ONLINE")) == 1


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=a>', "{{ 7 * 7 }}"])
async def test_what_a_miner_says_is_text(
    people: People, installation: Installation, client: httpx2.AsyncClient, text: str
) -> None:
    """ASVS 1.2.1: its region, its status, names and values of what it can do."""
    key = await installation.add_key(HOME)
    await register(client, key, "rig", region=text, capabilities={text: text, "list": [text]})
    await beat(client, key, status=text)
    page = await (await people("owner")).get("/miners")
    assert not [a for tag, a in page.elements if tag == "img" or (tag == "script" and not a.get("src"))]
    assert page.text.count(text) >= 3


async def test_a_talkative_miner_does_not_fill_the_page(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Whatever 25 miners say, the page stays below 60 KB."""
    key = await installation.add_key(HOME)
    capabilities = {'"' * 500 + str(number): ['"' * 500] * 10 for number in range(10)}
    for number in range(25):
        await register(client, key, f"rig-{number:095}", capabilities=capabilities, region='"' * 100)
    await beat(client, key, status='"' * 100)
    page = await (await people("viewer")).get("/miners")
    assert rows(page) == 25
    assert len(page.answer.content) < 60 * 1024
