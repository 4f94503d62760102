"""When a change is answered: committed, announced, once; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.api_keys.people import People, Speaker
from tests.usage.world import World

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.outbox import FenceOutboxRow


async def count(world: World, table: Any) -> int:
    async with world.database.read() as session:
        return (await session.scalar(select(func.count()).select_from(table))) or 0


@pytest.fixture
def unconfirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fences that drop this node's records and cannot reach the others."""
    announce = LocalFences.announce

    async def unsure(self: LocalFences, tenant_ids: Iterable[str]) -> bool:
        await announce(self, tenant_ids)
        return False

    monkeypatch.setattr(LocalFences, "announce", unsure)


@pytest.mark.usefixtures("unconfirmed")
async def test_what_not_every_node_knows_yet_is_answered_202(manager: Speaker) -> None:
    """Design 6: committed, `"confirmed": false`, and in effect on this node."""
    answer = await manager("POST", "/v1/api-keys", {"name": "a"})
    made = answer.json()
    assert (answer.status_code, made["confirmed"]) == (202, False)
    assert await manager.works(made["key"]) == 200
    path = f"/v1/api-keys/{made['id']}"
    for method, where, body in (
        ("PATCH", path, {"name": "b"}),
        ("POST", f"{path}/regenerate", {}),
        ("POST", f"{path}/revoke", None),
    ):
        changed = await manager(method, where, body)
        assert (changed.status_code, changed.json()["confirmed"]) == (202, False)
    assert await manager.works(made["key"]) == 401
    # Nothing is left to do, so there is nothing to be confirmed.
    again = await manager("POST", f"{path}/revoke")
    assert (again.status_code, "confirmed" in again.json()) == (200, False)


async def test_a_confirmed_change_says_nothing_of_it(manager: Speaker) -> None:
    """201 and 200, and no field `confirmed`."""
    made = await manager.make()
    changed = await manager("PATCH", f"/v1/api-keys/{made['id']}", {"name": "b"})
    assert "confirmed" not in made
    assert (changed.status_code, "confirmed" in changed.json()) == (200, False)


async def test_a_commit_that_fails_answers_5xx_and_changes_nothing(
    manager: Speaker, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """House rule 13, ASVS 2.3.3: no answer promises what is not committed; neither key, audit nor outbox moved."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}"
    before = (await manager("GET", path)).json()
    rows = [await count(world, table) for table in (ApiKeyRow, AuditEventRow)]
    outbox = await count(world, FenceOutboxRow)

    async def fail(_self: AsyncSession) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(AsyncSession, "commit", fail)
        for method, where, body in (
            ("POST", "/v1/api-keys", {"name": "a"}),
            ("PATCH", path, {"enabled": False}),
            ("POST", f"{path}/regenerate", {}),
            ("POST", f"{path}/revoke", None),
        ):
            answer = await manager(method, where, body)
            assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
            assert "disk" not in answer.text
    assert [await count(world, table) for table in (ApiKeyRow, AuditEventRow)] == rows
    # The server may have drained it meanwhile.
    assert await count(world, FenceOutboxRow) <= outbox
    after = (await manager("GET", path)).json()
    assert after == before
    assert await manager.works(made["key"]) == 200


@pytest.mark.parametrize(("grace_s", "live"), [(0, 1), (60, 2)])
async def test_changes_to_one_key_come_one_after_another(
    manager: Speaker, world: World, grace_s: int, live: int
) -> None:
    """ASVS 2.3.4: of many regenerates at once, each sees the one before: the last secret works, with grace the last
    two, and the first one not any more. Each has its audit row."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}/regenerate"
    answers = await asyncio.gather(*(manager("POST", path, {"grace_period_seconds": grace_s}) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    texts = [made["key"], *(answer.json()["key"] for answer in answers)]
    statuses = [(await manager.client.get("/v1/jobs", headers={"X-API-Key": text})).status_code for text in texts]
    assert statuses[0] == 401
    assert statuses.count(200) == live
    assert await count(world, AuditEventRow) == 9


async def test_no_change_slips_in_behind_a_revoke(manager: Speaker) -> None:
    """ASVS 2.3.4, 15.4.2: whatever the order, a revoked key stays revoked, and no change to it is answered 200 then."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}"
    changes = [manager("PATCH", path, {"enabled": True, "name": f"n{number}"}) for number in range(6)]
    answers = await asyncio.gather(*changes[:3], manager("POST", f"{path}/revoke"), *changes[3:])
    assert answers[3].status_code == 200
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert (await manager("GET", path)).json()["status"] == "revoked"


class TestIdempotencyKey:
    """Design 7, on POST /v1/api-keys."""

    async def test_a_replay_returns_the_object_without_the_key(self, manager: Speaker, world: World) -> None:
        """The same request again makes nothing, and the secret is nowhere to be had."""
        headers = {"Idempotency-Key": "order 66"}
        first = await manager("POST", "/v1/api-keys", {"name": "a"}, headers=headers)
        again = await manager("POST", "/v1/api-keys", {"name": "a"}, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        made = first.json()
        del made["key"]
        assert again.json() == made
        assert await count(world, AuditEventRow) == 1

    async def test_another_body_is_a_conflict(self, manager: Speaker) -> None:
        """409, and the first object stands."""
        headers = {"Idempotency-Key": "k"}
        assert (await manager("POST", "/v1/api-keys", {"name": "a"}, headers=headers)).status_code == 201
        answer = await manager("POST", "/v1/api-keys", {"name": "b"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    async def test_keys_are_apart_by_tenant_and_environment(
        self, manager: Speaker, stranger: Speaker, people: People
    ) -> None:
        """The same text elsewhere is another key."""
        made = {
            (await speaker("POST", "/v1/api-keys", {"name": "a"}, headers={"Idempotency-Key": "k"})).json()["id"]
            for speaker in (manager, stranger, Speaker(manager.client, people.test_manager))
        }
        assert len(made) == 3

    async def test_it_is_checked(self, manager: Speaker) -> None:
        """1 to 255 printable ASCII characters, once."""
        for value in ("", "x" * 256, "caf\xe9", "a\tb"):
            headers = [(b"idempotency-key", value.encode("latin-1")), (b"x-api-key", manager.key.text.encode())]
            answer = await manager.client.post("/v1/api-keys", json={"name": "a"}, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key"), value
        twice = [(b"idempotency-key", b"a"), (b"idempotency-key", b"a"), (b"x-api-key", manager.key.text.encode())]
        answer = await manager.client.post("/v1/api-keys", json={"name": "a"}, headers=twice)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")

    async def test_many_at_once_make_one_key(self, manager: Speaker, world: World) -> None:
        """201 for the one that was made and its replays, 409 while it is being made; never two, never an error."""
        before = await count(world, ApiKeyRow)
        answers = await asyncio.gather(
            *(manager("POST", "/v1/api-keys", {"name": "a"}, headers={"Idempotency-Key": "k"}) for _ in range(8))
        )
        made = [answer.json() for answer in answers if answer.status_code == 201]
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len({key["id"] for key in made}) == 1
        assert len([key for key in made if "key" in key]) == 1
        assert await count(world, ApiKeyRow) == before + 1

    async def test_a_creation_that_is_refused_frees_its_key(self, manager: Speaker) -> None:
        """422 remembers nothing: the corrected request goes through with the same key."""
        headers = {"Idempotency-Key": "k"}
        bad = {"name": "a", "limit_per_minute": 9999999}
        assert (await manager("POST", "/v1/api-keys", bad, headers=headers)).status_code == 422
        assert (await manager("POST", "/v1/api-keys", {"name": "a"}, headers=headers)).status_code == 201
