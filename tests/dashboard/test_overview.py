"""The overview and a key's usage, as a browser without JavaScript sees them."""

from __future__ import annotations

import httpx2
import pytest
from tests.dashboard.conftest import People
from tests.support.browser import Page
from tests.support.installation import HOME, STRANGER, Installation
from tests.usage.world import MINUTE_US

from aitbc.schemas.scopes import Environment

MAX_PAGE_BYTES = 60 * 1024


def cells(page: Page, chart: str) -> str:
    """What a chart says, its table included: the texts of its elements, one directly after the other."""
    return page.ids.get(chart, "")


async def test_a_new_account_is_led_to_its_first_call(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Generate a key, make a call: each step is shown when it is due, and the call is noticed at once."""
    owner = await people("owner")
    page = await owner.get("/overview")
    assert "1 of 3 done" in page.text
    assert "/api-keys/new" in page.links
    key = await installation.add_key(HOME)
    page = await owner.get("/overview")
    assert "2 of 3 done" in page.text
    assert 'curl -H "X-API-Key: YOUR_KEY"' in page.text
    assert "/v1/api-keys/self" in page.text
    # A call that is refused is none that succeeded.
    await client.get("/v1/nothing-else", headers={"X-API-Key": key.text, "X-Tenant-ID": "other"})
    assert "2 of 3 done" in (await owner.get("/overview")).text
    assert (await client.get("/v1/api-keys/self", headers=dict(key.headers))).status_code == 200
    page = await owner.get("/overview")
    assert "Your first call succeeded" in page.text
    assert "Generate a second key for the next program" in page.text
    await installation.add_key(HOME)
    page = await owner.get("/overview")
    assert "first call" not in page.text


@pytest.mark.parametrize(
    ("environments", "step"),
    [
        ([Environment.LIVE], "a second key for the next program"),
        ([Environment.TEST], "a live key for production"),
        ([Environment.TEST, Environment.TEST], "a live key for production"),
        ([Environment.LIVE, *[Environment.TEST] * 3], None),
    ],
)
async def test_the_next_steps_fit_what_there_is(
    people: People,
    installation: Installation,
    client: httpx2.AsyncClient,
    environments: list[Environment],
    step: str | None,
) -> None:
    """Nobody with keys for everything is told to make a second one; one of a development server counts too."""
    first, *others = environments
    key = await installation.add_key(HOME, environment=first)
    for environment in others:
        await installation.add_key(HOME, environment=environment, made_by_dev=True)
    await client.get("/v1/api-keys/self", headers=dict(key.headers))
    page = await (await people("owner")).get("/overview")
    assert "Your first call succeeded" in page.text
    assert (step is None) is ("Generate a" not in page.text)
    assert step is None or f"Generate {step}" in page.text


async def test_a_viewer_is_not_led_to_what_they_may_not_do(people: People) -> None:
    """Who cannot make a key is told whom to ask."""
    page = await (await people("viewer")).get("/overview")
    assert "Ask an owner or an admin" in page.text
    assert "/api-keys/new" not in page.links


async def test_requests_are_shown_over_time_by_outcome_and_by_key(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """In charts, each with a table behind it, over an hour, a day and 30 days."""
    key = await installation.add_key(HOME, scopes=[])
    other = await installation.add_key(HOME)
    for _ in range(3):
        await client.get("/v1/api-keys/self", headers=dict(key.headers))
    await client.get("/v1/jobs", headers=dict(key.headers))
    await client.get("/v1/jobs", headers=dict(other.headers))
    owner = await people("owner")
    page = await owner.get("/overview")
    assert "Requests 5 Allowed 4 80.0 % Refused 1 20.0 %" in page.text
    assert "Hour (UTC)AllowedScope missingTotal24 Nov, 05:00415" in cells(page, "requests")
    hour = await owner.get("/overview?window=hour")
    assert "Minute (UTC)AllowedScope missingTotal24 Nov, 05:46415" in cells(hour, "requests")
    month = await owner.get("/overview?window=month&by=key")
    assert "Day (UTC)a keya keyTotal24 Nov415" in cells(month, "requests")
    assert "24 Nov, 05:464" in cells(page, "limit-use")
    assert "Scope missing" in page.text
    assert "The API key does not have the scope that this needs." in page.text
    live, test = [await owner.get(f"/overview?environment={name}") for name in ("live", "test")]
    assert "Requests 5" in live.text
    assert "No requests in this time." in cells(test, "requests")


async def test_refusals_that_are_alike_are_shown_as_one(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """One line for each reason and operation: how often, since when, and when it last was."""
    key = await installation.add_key(HOME, scopes=[])
    for minute in range(3):
        installation.clock.now_us += MINUTE_US if minute else 0
        for _ in range(2):
            await client.get("/v1/jobs", headers=dict(key.headers))
    await client.get("/v1/miners", headers=dict(key.headers))
    page = await (await people("owner")).get(f"/api-keys/{key.id}")
    assert "List jobs, 6 times since 24 Nov 2026, 05:46 UTC . The API key does not" in page.text
    assert page.text.count("Scope missing just now") == 2
    assert "List miners." in page.text
    # What there is to know of a reason is said once.
    assert page.text.count("The API key does not have the scope") == 1


async def test_refusals_name_the_key(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """Two programs that fail in the same way are two lines, each with a way to its key; the last that failed is first.

    In the same minute, the one that failed most often is. A key of another tenant is told by its id.
    """
    once = await installation.add_key(HOME, scopes=[], name="Once")
    often = await installation.add_key(HOME, scopes=[], name="Often")
    foreign = await installation.add_key(STRANGER, scopes=[], also=[HOME])
    await client.get("/v1/jobs", headers={**foreign.headers, "X-Tenant-ID": HOME})
    installation.clock.now_us += MINUTE_US
    for key in (once, often, often):
        await client.get("/v1/jobs", headers=dict(key.headers))
    page = await (await people("owner")).get("/overview")
    assert "List jobs with Often , 2 times in a minute. The API key does not" in page.text
    assert "List jobs with Once ." in page.text
    assert f"List jobs with {foreign.id} ." in page.text
    links = [link for link in page.links if link.startswith("/api-keys/key_")]
    assert links == [f"/api-keys/{often.id}", f"/api-keys/{once.id}"]


async def test_a_choice_that_makes_no_sense_is_none(people: People) -> None:
    """A link that was cut shows the usual page."""
    owner = await people("owner")
    page = await owner.get("/overview?window=century&by=%00&environment=prod&other=1")
    assert page.status == 200
    assert "the last 24 hours" in page.text


async def test_the_limit_is_shown_as_it_stands(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Looking costs nothing: however often the page is loaded, the same is left."""
    await installation.add_tenant("small", "free")
    key = await installation.add_key(HOME, limit_per_minute=5)
    for _ in range(2):
        await client.get("/v1/api-keys/self", headers=dict(key.headers))
    owner = await people("owner")
    for _ in range(3):
        assert "2 of 1 000 000 in the last 60 s" in (await owner.get("/overview")).text
        assert "2 of 5 in the last 60 s" in (await owner.get(f"/api-keys/{key.id}")).text
    installation.clock.now_us += 61_000_000
    assert "5 left. No request in the last 60 seconds." in (await owner.get(f"/api-keys/{key.id}")).text


async def test_changes_are_told_in_words(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Who did what, when: without a look into the audit log."""
    manager = await installation.add_key(HOME)
    answer = await client.post("/v1/api-keys", headers=dict(manager.headers), json={"name": "Billing <b>"})
    assert answer.status_code == 201
    page = await (await people("owner")).get("/overview")
    assert "API key “a key” generated the API key “Billing <b>”." in page.text
    assert "<b>”" not in page.answer.text


async def test_a_keys_page_shows_its_usage(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """By outcome and by operation, its refusals with what to do, and its row in the list has a sparkline."""
    key, other = await installation.add_key(HOME, scopes=[]), await installation.add_key(HOME)
    await client.get("/v1/api-keys/self", headers=dict(key.headers))
    await client.get("/v1/jobs", headers=dict(key.headers))
    await client.get("/v1/jobs", headers=dict(other.headers))
    owner = await people("owner")
    page = await owner.get(f"/api-keys/{key.id}?window=hour")
    assert "24 Nov, 05:46112" in cells(page, "requests")
    assert "OperationRequestsList jobs1Look at its own key1" in cells(page, "operations")
    assert "Add the scope to the key; in place of an old secret, use the new one." in page.text
    page = await owner.get("/api-keys")
    assert "2 requests in the last 24 hours, 1 refused" in page.text


async def test_a_strangers_key_is_not_found(people: People, installation: Installation) -> None:
    """Neither its page nor its stream; byte for byte as one that never was. ASVS 8.2.2."""
    foreign = await installation.add_key(STRANGER)
    owner = await people("owner")
    for key_id in (foreign.id, "key_000000000000"):
        assert (await owner.get(f"/api-keys/{key_id}")).status == 404
        assert (await owner.get(f"/api-keys/{key_id}/live")).status == 404


@pytest.mark.parametrize("path", ["/overview", "/overview/live", "/plan"])
async def test_who_is_not_signed_in_is_sent_to_the_sign_in(people: People, path: str) -> None:
    """ASVS 8.2.1."""
    page = await people.anonymous().get(path)
    assert (page.status, page.answer.headers["location"]) == (303, f"/sign-in?next={path}")


async def test_who_is_in_no_tenant_sees_no_overview(people: People) -> None:
    """There is nothing that they could see."""
    assert (await (await people("nobody")).get("/overview")).status == 403


async def test_a_busy_page_stays_small(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """At most 60 KB with a chart of every minute of the hour, by key."""
    keys = [await installation.add_key(HOME, scopes=[]) for _ in range(7)]
    for _ in range(60):
        for key in keys:
            for path in ("/v1/api-keys/self", "/v1/jobs"):
                await client.get(path, headers=dict(key.headers))
        installation.clock.now_us += MINUTE_US
    owner = await people("owner")
    for query in ("window=hour&by=outcome", "window=hour&by=key", "window=day"):
        page = await owner.get(f"/overview?{query}")
        assert len(page.answer.content) < MAX_PAGE_BYTES, query
