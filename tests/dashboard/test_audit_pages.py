"""The audit log's pages as people without JavaScript use them: find an event, see what changed, take it all along."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from urllib.parse import parse_qsl

import httpx2
import pytest
from sqlalchemy import update
from tests.dashboard.conftest import People
from tests.support.browser import Browser, Page
from tests.support.installation import HOME, STRANGER, Installation

from aitbc_server.audit.export import COLUMNS, harmless
from aitbc_server.audit.service import PORTION
from aitbc_server.tenants.model import TenantRow

MINUTE_US = 60_000_000
DAY_US = timedelta(days=1) // timedelta(microseconds=1)


async def make_key(client: httpx2.AsyncClient, key: str, name: str) -> str:
    """A new key by the API; its id."""
    answer = await client.post("/v1/api-keys", json={"name": name}, headers={"X-API-Key": key})
    assert answer.status_code == 201, answer.text
    key_id: str = answer.json()["id"]
    return key_id


def events_on(page: Page) -> list[str]:
    """The ids of the events in the list."""
    return [link.removeprefix("/audit-log/") for link in page.links if re.fullmatch(r"/audit-log/evt_\w+", link)]


def csv_of(page: Page) -> list[dict[str, str]]:
    """The lines of a CSV file, as a program reads them."""
    return list(csv.DictReader(io.StringIO(page.answer.content.decode(), newline=""), strict=True))


async def exported(browser: Browser, ending: str, query: str = "", **fields: str) -> Page:
    """The file that the page of the export sends; ``fields`` in place of what it would ask for."""
    page = await browser.get(f"/audit-log/export{query}")
    return await browser.submit(page, f"/audit-log/export.{ending}", **fields)


async def test_nothing_was_changed_yet(people: People) -> None:
    """It says what will stand here; there is nothing to export."""
    page = await (await people("viewer")).get("/audit-log")
    assert "Nothing was changed yet" in page.text
    assert "/audit-log/export" not in page.links


async def test_what_happened_is_told(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """ASVS 16.2.1: who did what, when, from where; each event with what was before and after."""
    key = await installation.add_key(HOME)
    made = await make_key(client, key.text, "Billing")
    await client.patch(f"/v1/api-keys/{made}", json={"name": "Invoices"}, headers={"X-API-Key": key.text})
    browser = await people("viewer")
    page = await browser.get("/audit-log")
    assert "API key “a key” changed name of the API key “Invoices”." in page.text
    assert "API key “a key” generated the API key “Invoices”." in page.text
    assert "192.0.2.1" in page.text
    # Who cannot see the row hears in the link what it is about (WCAG 2.4.4).
    [details] = [a for _, a in page.elements if a.get("id") == "details-1"]
    assert details["aria-labelledby"] == "details-1 told-1"
    assert page.ids["told-1"] == "API key “a key” changed name of the API key “Invoices”."
    shown = await browser.get(f"/audit-log/{events_on(page)[0]}")
    assert "What changed" in shown.text
    assert "Name Billing Invoices" in shown.text
    created = await browser.get(f"/audit-log/{events_on(page)[1]}")
    assert "Name Billing" in created.text
    assert "Expires at" not in created.text
    for link in (f"/api-keys/{made}", f"/audit-log?key_id={made}", f"/audit-log?actor={key.id}"):
        assert link in shown.links
        assert (await browser.get(link)).status == 200


async def test_an_event_is_told_without_json(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Times as on every page, and the older of two secrets in words."""
    key = await installation.add_key(HOME)
    made = await make_key(client, key.text, "Billing")
    headers = {"X-API-Key": key.text}
    await client.post(f"/v1/api-keys/{made}/regenerate", json={"grace_period_seconds": 3600}, headers=headers)
    browser = await people("viewer")
    shown = await browser.get(f"/audit-log/{events_on(await browser.get('/audit-log'))[0]}")
    assert "Previous secret none Expires: 24 Nov 2026, 06:46 UTC ; Last used: never" in shown.text
    assert not re.search(r"\d{4}-\d\d-\d\d|[{}]", shown.text), shown.text
    assert [a for tag, a in shown.elements if tag == "time" and a["datetime"] == "2026-11-24T06:46:30.000Z"]


async def test_events_are_found(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """By what, who, key and days; through many; other tenants' are not there."""
    key, other = await installation.add_key(HOME), await installation.add_key(HOME, name="Robot")
    await make_key(client, (await installation.add_key(STRANGER)).text, "theirs")
    made = []
    for number in range(40):
        installation.clock.now_us += MINUTE_US
        made.append(await make_key(client, key.text, f"key {number}"))
    installation.clock.now_us += DAY_US
    await client.post(f"/v1/api-keys/{made[0]}/revoke", headers={"X-API-Key": other.text})
    browser = await people("viewer")
    first = await browser.get("/audit-log")
    assert len(events_on(first)) == 30
    [older] = [link for link in first.links if "cursor=" in link]
    assert len(events_on(await browser.get(older))) == 11
    for query, count in (
        ("action=api_key.revoked", 1),
        (f"actor={other.id}&action=&key_id=", 1),
        ("actor=Robot", 1),
        ("actor=nobody%40example.com", 0),
        (f"key_id={made[0]}", 2),
        ("since=2026-11-25", 1),
        ("since=2026-11-24&until=2026-11-25&key_id=" + made[0], 2),
        ("until=2026-11-23", 0),
        ("action=of.another.release", 0),
    ):
        page = await browser.get(f"/audit-log?{query}")
        assert len(events_on(page)) == count, query
        assert ("Nothing matches" in page.text) is (count == 0), query
    assert dict(page.form("/audit-log").fields)["action"] == "of.another.release"


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("since=soon", "since", "The first day must be a date."),
        ("until=2026-02-30", "until", "The last day must be a day that there is, from 1970 on."),
        ("since=1969-12-31", "since", "The first day must be a day that there is, from 1970 on."),
        ("since=2026-11-24&until=2026-11-23", "until", "must not be before the first day"),
        ("actor=a%00b", "actor", "NUL"),
        ("actor=a%00b&until=soon", "until", "The last day must be a date."),
        ("actor=a%00b&until=soon", "actor", "NUL"),
    ],
)
async def test_what_is_wrong_is_said_beside_the_filter(people: People, query: str, field: str, message: str) -> None:
    """ASVS 2.2.1: 422, with what was typed still there; the export says it too, and sends no file."""
    browser = await people("owner")
    page = await browser.get(f"/audit-log?{query}")
    assert page.status == 422
    assert message.lower() in page.ids[f"{field}-error"].lower()
    wrong = dict(parse_qsl(query))
    for page in (
        await browser.get(f"/audit-log/export?{query}"),
        await exported(browser, "csv", **wrong),
        await exported(browser, "json", **wrong),
    ):
        assert page.status in ({400, 422} if "%00" in query else {422})
        assert page.answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_another_tenants_event_is_a_random_id(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """ASVS 8.2.2: the same bytes as for none."""
    await make_key(client, (await installation.add_key(HOME)).text, "ours")
    [event] = events_on(await (await people("owner")).get("/audit-log"))
    stranger = await people("stranger")
    answers = [await stranger.get(f"/audit-log/{each}") for each in (event, "evt_none", "none")]
    assert {page.status for page in answers} == {404}
    assert len({re.sub(r'name="csrf" value="[^"]+"', "", page.answer.text) for page in answers}) == 1


async def test_the_log_is_exported(people: People, installation: Installation, client: httpx2.AsyncClient) -> None:
    """By the page that the list leads to: the chosen events, as CSV and as the API's JSON."""
    key = await installation.add_key(HOME)
    for name in ("one", "zwei, “mit” Komma"):
        installation.clock.now_us += MINUTE_US
        made = await make_key(client, key.text, name)
    browser = await people("viewer")
    page = await browser.get(f"/audit-log?key_id={made}")
    [address] = [link for link in page.links if link.startswith("/audit-log/export")]
    choice = await browser.get(address)
    assert "that match" in choice.text
    table, array = [await browser.submit(choice, f"/audit-log/export.{ending}") for ending in ("csv", "json")]
    headers = table.answer.headers
    assert headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="audit-log-acme-2026-11-24.csv"'
    [line], [event] = csv_of(table), json.loads(array.answer.content)
    listed = await client.get("/v1/audit-log", headers={"X-API-Key": key.text})
    assert event == listed.json()["items"][2]
    assert tuple(line) == COLUMNS
    assert (line["time"], line["id"], line["action"]) == (event["time"], event["id"], "api_key.created")
    assert json.loads(line["after"])["name"] == "zwei, “mit” Komma"
    assert line["summary"] == 'generated the API key "zwei, "mit" Komma"'
    assert len(csv_of(await exported(browser, "csv"))) == 4


async def test_an_empty_export_is_whole(people: People) -> None:
    """A header and no line; an array with nothing in it."""
    browser = await people("owner")
    assert (await exported(browser, "csv", "?until=2020-01-01")).answer.content.count(b"\r\n") == 1
    assert (await exported(browser, "json", "?until=2020-01-01")).answer.json() == []


async def test_who_takes_the_log_along_stands_in_it(people: People, installation: Installation) -> None:
    """Who, when, from where, as what, and which events; a try that came to nothing does not."""
    await fill(installation, 1)
    browser = await people("owner")
    assert len((await exported(browser, "json", "?action=plan.updated")).answer.json()) == 1
    assert (await exported(browser, "csv", since="soon")).status == 422
    # Nor does a link, which any page may have: it opens nothing (ASVS 3.5.3).
    assert (await browser.get("/audit-log/export.json")).status == 404
    page = await browser.get("/audit-log?action=audit_log.exported")
    assert "owner@example.com exported the audit log as JSON." in page.text
    [event] = events_on(page)
    assert "Action plan.updated Format json" in (await browser.get(f"/audit-log/{event}")).text


async def test_a_suspended_tenant_takes_its_log_along(people: People, installation: Installation) -> None:
    """Nothing can be changed then, and this changes nothing."""
    await fill(installation, 1)
    browser = await people("owner")
    async with installation.database.write() as session:
        await session.execute(update(TenantRow).values(suspended_at=installation.clock.timestamp()))
        await session.commit()
    assert len((await exported(browser, "json")).answer.json()) == 1


async def test_a_long_log_is_exported_in_portions(people: People, installation: Installation) -> None:
    """All of it, each event once, newest first."""
    await fill(installation, 2 * PORTION + 1)
    browser = await people("owner")
    ids = [event["id"] for event in (await exported(browser, "json")).answer.json()]
    assert len(set(ids)) == len(ids) == 2 * PORTION + 1
    lines = csv_of(await exported(browser, "csv", "?action=plan.updated"))
    assert [line["id"] for line in lines] == ids


async def test_an_export_asks_for_the_password_again(people: People, installation: Installation) -> None:
    """ASVS 7.5.3: what a thief of a session would take is not given out half an hour after the sign-in."""
    browser = await people("owner")
    address = "/audit-log/export?until=2026-11-24"
    choice = await browser.get(address)
    installation.clock.now_us += 30 * MINUTE_US
    origin = {"referer": f"http://localhost{address}"}
    page = await browser.get(address)
    back = "/confirm?next=/audit-log/export"
    assert (page.status, page.answer.headers["location"]) == (303, f"{back}%3Funtil%3D2026-11-24")
    for ending in ("csv", "json"):
        path = f"/audit-log/export.{ending}"
        page = await browser.post(path, choice.form(path).fields, origin)
        assert (page.status, page.answer.headers["location"]) == (303, back)
    assert (await browser.get("/audit-log")).status == 200


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "  =", "\uff1d"])
def test_a_formula_is_a_text(start: str) -> None:
    """ASVS 1.2.10: a field that a spreadsheet would run has an apostrophe in front."""
    assert harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("text", ["", "plain", "a=b", "'=1", "{}", "api_key.created", "2026-11-24"])
def test_another_text_stays_as_it_is(text: str) -> None:
    """ASVS 1.2.10: nothing else is changed."""
    assert harmless(text) == text


async def test_an_exported_name_is_no_formula(
    people: People, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """ASVS 1.2.10: RFC 4180 quoting, and no field of the file that begins a formula."""
    evil = '=HYPERLINK("http://evil.example","click")'
    key = await installation.add_key(HOME, name=evil)
    await make_key(client, key.text, '+1, "x"')
    table = await exported(await people("owner"), "csv")
    [line] = csv_of(table)
    assert line["actor_name"] == f"'{evil}"
    assert not [each for each in line.values() if each.startswith(("=", "+", "-", "@", "\t", "\r", "\0"))]
    assert b'"\'=HYPERLINK(""http://evil.example"",""click"")"' in table.answer.content
    [_, event] = (await exported(await people("owner"), "json")).answer.json()
    assert event["actor"]["name"] == evil


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=a>', "{{ 7 * 7 }}"])
async def test_what_was_recorded_is_text(
    people: People, installation: Installation, client: httpx2.AsyncClient, text: str
) -> None:
    """ASVS 1.2.1: names of who did it and of what it was done to, on the list, on the event's page, in filters."""
    key = await installation.add_key(HOME, name=text)
    await make_key(client, key.text, text)
    browser = await people("owner")
    page = await browser.get("/audit-log")
    for where in ("/audit-log", f"/audit-log/{events_on(page)[0]}", f"/audit-log?actor={text}&key_id={text}"):
        shown = await browser.get(where)
        assert shown.status == 200
        assert not [a for tag, a in shown.elements if tag == "img" or (tag == "script" and not a.get("src"))]
    assert page.text.count(text) == 2
    assert dict(shown.form("/audit-log").fields)["actor"] == text
    export = await browser.get(f"/audit-log/export?actor={text}")
    assert text in export.text


async def fill(installation: Installation, number: int) -> None:
    """Record so many events of acme."""
    from aitbc_server.actor import operator
    from aitbc_server.audit.service import AuditLog

    log = AuditLog(installation.secret_keys, installation.clock)
    async with installation.database.write() as session:
        for _ in range(number):
            await log.record(session, operator("test", HOME), "plan.updated", ("plan", "pro"))
        await session.commit()
