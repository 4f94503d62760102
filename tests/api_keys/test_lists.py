"""Lists of keys: pages, filters, cursors; over HTTP on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.api_keys.people import People, Speaker
from tests.usage.world import Clock, World

from aitbc_server.clock import US_PER_S


async def listed(speaker: Speaker, **params: Any) -> dict[str, Any]:
    answer = await speaker("GET", "/v1/api-keys", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def ids(speaker: Speaker, **params: Any) -> list[str]:
    return [item["id"] for item in (await listed(speaker, **params))["items"]]


async def all_pages(speaker: Speaker, **params: Any) -> list[str]:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await listed(speaker, **params, **cursor)
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}


async def test_pages_are_newest_first_and_hold_each_key_once(manager: Speaker, clock: Clock, people: People) -> None:
    """Also where many keys were made in the same millisecond, whatever the size of a page."""
    made = []
    for number in range(7):
        clock.now_us += (number % 3) * US_PER_S
        made.append((clock.now_us, (await manager.make())["id"]))
    newest_first = [key_id for _, key_id in sorted(made, reverse=True)]
    everything = await ids(manager)
    assert everything[: len(made) - 1] == newest_first[: len(made) - 1]
    assert set(everything) == {*newest_first, people.manager.id, people.member.id, people.writer.id}
    for limit in (1, 2, 3, 9, 10, 100):
        assert await all_pages(manager, limit=limit) == everything


async def test_pages_are_stable_under_inserts(manager: Speaker, clock: Clock) -> None:
    """Keys that are made between two pages shift nothing."""
    before = await ids(manager)
    page = await listed(manager, limit=2)
    clock.now_us += US_PER_S
    await manager.make()
    rest = await listed(manager, limit=100, cursor=page["next_cursor"])
    assert [item["id"] for item in page["items"] + rest["items"]] == before


async def test_a_cursor_is_of_its_list_alone(manager: Speaker, stranger: Speaker, people: People) -> None:
    """Altered, of another tenant or environment, or made up: 400, and never another tenant's rows."""
    cursor = (await listed(manager, limit=1))["next_cursor"]
    flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    tester = Speaker(manager.client, people.test_manager)
    for speaker, text in (
        (manager, flipped),
        (manager, cursor + "A"),
        (manager, "x"),
        (manager, ""),
        (manager, "é"),
        (stranger, cursor),
        (tester, cursor),
    ):
        answer = await speaker("GET", "/v1/api-keys", params={"cursor": text})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), text


async def test_statuses_are_told_apart(manager: Speaker, clock: Clock, people: People) -> None:
    """The filter agrees with the status that each key shows, also for keys that are two things at once."""
    ends = (clock.timestamp() + timedelta(seconds=1)).isoformat()
    expired = (await manager.make(expires_at=ends))["id"]
    disabled_and_expired = (await manager.make(expires_at=ends))["id"]
    revoked_and_disabled = (await manager.make())["id"]
    later = (await manager.make(expires_at=(clock.timestamp() + timedelta(days=1)).isoformat()))["id"]
    for key_id in (disabled_and_expired, revoked_and_disabled):
        await manager("PATCH", f"/v1/api-keys/{key_id}", {"enabled": False})
    await manager("POST", f"/v1/api-keys/{revoked_and_disabled}/revoke")
    clock.now_us += US_PER_S
    by_status = {
        status: set(await ids(manager, status=status)) for status in ("active", "disabled", "expired", "revoked")
    }
    assert by_status == {
        "active": {later, people.manager.id, people.member.id, people.writer.id},
        "disabled": {disabled_and_expired},
        "expired": {expired},
        "revoked": {revoked_and_disabled},
    }
    for status, some in by_status.items():
        shown = {item["id"] for item in (await listed(manager))["items"] if item["status"] == status}
        assert shown == some


async def test_q_looks_in_names_and_ids(manager: Speaker) -> None:
    """Any part, in any case of ASCII letters; what means something to SQL means nothing here."""
    percent = (await manager.make(name="100% Backup"))["id"]
    under = (await manager.make(name="ci_deploy"))["id"]
    for q, found in (
        ("backup", [percent]),
        ("100%", [percent]),
        ("%", [percent]),
        ("_", {percent, under}),
        ("ci_d", [under]),
        ("ci-d", []),
        (percent, [percent]),
        (percent[4:9], [percent]),
        ("\\", []),
        ("'; DROP TABLE api_keys; --", []),
    ):
        matching = set(await ids(manager, q=q))
        # Every id has an underscore.
        assert matching >= set(found) if q == "_" else matching == set(found), q


async def test_parameters_are_checked(manager: Speaker) -> None:
    """ASVS 2.2.1: 422 that names the parameter; one that is not known or comes twice is no exception."""
    for query, field, words in (
        ("limit=0", "limit", "at least 1"),
        ("limit=101", "limit", "at most 100"),
        ("limit=ten", "limit", "must be an integer"),
        ("status=gone", "status", "must be one of active, disabled, expired, revoked"),
        ("environment=prod", "environment", "must be one of live, test"),
        ("q=", "q", "must not be empty"),
        ("q=" + "x" * 101, "q", "at most 100 characters"),
        ("q=%00", "q", "NUL"),
        ("stauts=active", "stauts", "is not a query parameter"),
        ("limit=1&limit=2", "limit", "more than once"),
    ):
        answer = await manager("GET", f"/v1/api-keys?{query}")
        assert answer.status_code == 422, query
        (error,) = answer.json()["errors"]
        assert (error["field"], words in error["message"]) == (field, True), answer.text


async def test_last_use_is_shown_as_of_now(manager: Speaker, clock: Clock, world: World) -> None:
    """What the database does not have yet is put in: in the list, and for one key."""
    made = await manager.make()
    clock.now_us += US_PER_S
    assert await manager.works(made["key"]) == 200
    for shown in (
        (await manager("GET", f"/v1/api-keys/{made['id']}")).json(),
        (await listed(manager, q=made["id"]))["items"][0],
    ):
        assert (shown["last_used_at"], shown["last_used_ip"]) == (clock.timestamp().text(), "192.0.2.1")
    assert world
