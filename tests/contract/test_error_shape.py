"""One shape for every error of every route: each of them is provoked, and looked at in all that they share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest
from sqlalchemy import text
from tests.support.asking import JSON, Ask, Owner, owner_of, pieces
from tests.support.installation import HOME, Installation
from tests.support.shape import faults, structured

from aitbc.schemas.scopes import Scope

LARGE = b'{"name": "' + b"x" * 1024 * 1024 + b'"}'
TWO_KEYS = {"X-API-Key": "one", "Authorization": "Bearer another"}


class Wrong(NamedTuple):
    """What is sent instead, and the code that it gets."""

    code: str
    options: dict[str, Any]
    has_key: bool = True
    url: str = ""


def anywhere(ask: Ask, headers: dict[str, str]) -> Iterator[Wrong]:
    """What goes wrong in the same way on every route."""
    good = {} if ask.json is None else {"json": ask.json}
    yield Wrong("ambiguous_credentials", {"headers": TWO_KEYS, **good}, has_key=False)
    yield Wrong("missing_api_key", {"headers": {}, **good}, has_key=False)
    yield Wrong("invalid_api_key", {"headers": {"X-API-Key": "x" * 20}, **good}, has_key=False)
    yield Wrong("tenant_mismatch", {"headers": {**headers, "X-Tenant-ID": "globex"}, **good})
    if ask.method != "GET":
        yield Wrong("payload_too_large", {"headers": {**headers, **JSON}, "content": LARGE})


def bodies(headers: dict[str, str]) -> Iterator[Wrong]:
    """What goes wrong with bodies."""
    headers = {**headers, **JSON}
    yield Wrong("bad_request", {"headers": headers, "content": b"{"})
    yield Wrong("validation_error", {"headers": headers, "content": b'"text"'})
    yield Wrong("unsupported_media_type", {"headers": {**headers, "Content-Type": "text/plain"}, "content": b"{}"})
    yield Wrong("unsupported_media_type", {"headers": {**headers, "Content-Type": "not a type"}, "content": b"{}"})
    yield Wrong("payload_too_large", {"headers": headers, "content": lambda: pieces(LARGE)})


def objects(ask: Ask, owner: Owner) -> Iterator[Wrong]:
    """What goes wrong with the object in a path."""
    for known, unknown in ((owner.other_key.id, "key_" + "0" * 12), (owner.job_id, "job_0")):
        if known in ask.url:
            options = {"headers": owner.headers, **({} if ask.json is None else {"json": ask.json})}
            yield Wrong("not_found", options, url=ask.url.replace(known, unknown))


@pytest.fixture
async def owner(installation: Installation, client: httpx2.AsyncClient) -> Owner:
    return await owner_of(installation, client)


async def provoke(client: httpx2.AsyncClient, ask: Ask, wrong: Wrong) -> AsyncIterator[str]:
    options = {name: value() if callable(value) else value for name, value in wrong.options.items()}
    answer = await client.request(ask.method, wrong.url or ask.url, **options)
    code = answer.json().get("code")
    if code != wrong.code:
        yield f"{ask}: {answer.status_code} {code}, not {wrong.code}"
    for fault in faults(answer, checked=wrong.has_key, no_credential=wrong.code == "missing_api_key"):
        yield f"{ask}: {wrong.code}: {fault}"


async def test_every_error_of_every_route_has_the_one_shape(client: httpx2.AsyncClient, owner: Owner) -> None:
    """RFC 9457 over all routes, ASVS 2.2.1, 3.4.4, 3.4.5, 3.4.6, 4.1.1, 14.3.2, 16.5.1."""
    found: list[str] = []
    asks = list(owner.asks())
    assert len(asks) > 20
    for ask in asks:
        wrongs = [*anywhere(ask, owner.headers), *objects(ask, owner)]
        wrongs += bodies(owner.headers) if ask.json is not None else ()
        for wrong in wrongs:
            found += [fault async for fault in provoke(client, ask, wrong)]
    assert not found


async def test_what_is_not_there_is_no_conflict_with_what_is(client: httpx2.AsyncClient, owner: Owner) -> None:
    """Conflicts and results that are not ready have the shape too."""
    headers, key = owner.headers, owner.other_key.id
    steps = [
        ("POST", f"/v1/api-keys/{key}/revoke", None, 200),
        ("POST", f"/v1/api-keys/{key}/revoke", None, 200),
        ("PATCH", f"/v1/api-keys/{key}", {"enabled": True}, 409),
        ("POST", f"/v1/api-keys/{key}/regenerate", {}, 409),
        ("GET", f"/v1/jobs/{owner.job_id}/result", None, 425),
        ("POST", f"/v1/jobs/{owner.job_id}/cancel", None, 200),
        ("POST", f"/v1/jobs/{owner.job_id}/cancel", None, 409),
        ("GET", f"/v1/jobs/{owner.job_id}/result", None, 200),
    ]
    for method, path, body, status in steps:
        answer = await client.request(method, path, headers=headers, json=body)
        assert (answer.status_code, faults(answer, checked=True)) == (status, []), path


async def test_every_route_says_when_the_limit_is_used_up(
    installation: Installation, client: httpx2.AsyncClient, owner: Owner
) -> None:
    """429 with Retry-After on every route; all limits that apply are told, the triple speaks of the tightest."""
    for ask in owner.asks():
        key = await installation.add_key(HOME, scopes=Scope, limit_per_minute=1)
        if ask.url.endswith("/verify"):
            # It takes nothing from its caller (design section 8): another request takes it all.
            await client.get("/v1/api-keys/self", headers=dict(key.headers))
        first = await client.request(ask.method, ask.url, headers=dict(key.headers), json=ask.json)
        second = await client.request(ask.method, ask.url, headers=dict(key.headers), json=ask.json)
        if ask.url.endswith("/verify"):
            assert (first.status_code, second.status_code) == (200, 200)
            continue
        assert (second.status_code, second.json()["code"]) == (429, "rate_limit_exceeded"), str(ask)
        assert not faults(first, checked=True) + faults(second, checked=True), str(ask)
        assert list(structured(second.headers["ratelimit"]) or ()) == ["enterprise", "key"]
        assert second.headers["retry-after"] == second.headers["x-ratelimit-reset"] == "60"


async def test_who_guesses_too_often_is_slowed_down_in_the_same_shape(installation: Installation) -> None:
    """429 too_many_failures on every route, without a word on limits; a good key goes on. (ASVS 2.4.1, 6.3.1)"""
    async with installation.client() as client:
        owner = await owner_of(installation, client)
    installation.settings = msgspec.structs.replace(installation.settings, max_failures_per_minute=3)
    async with installation.client("198.51.100.7") as client:
        assert (await client.get("/v1/jobs", headers=owner.headers)).status_code == 200
        for _ in range(4):
            await client.get("/v1/jobs", headers={"X-API-Key": "wrong" * 5})
        for ask in owner.asks():
            answer = await client.request(ask.method, ask.url, headers={"X-API-Key": "wrong" * 6}, json=ask.json)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failures"), str(ask)
            assert not faults(answer, checked=False)
        assert (await client.get("/v1/jobs", headers=owner.headers)).status_code == 200


@pytest.mark.parametrize("table", ["jobs", "api_keys"])
async def test_a_failure_of_ours_tells_nothing_of_itself(
    table: str, installation: Installation, client: httpx2.AsyncClient, owner: Owner
) -> None:
    """ASVS 16.5.1, 16.5.3, 16.5.4, 13.4.2: the caller gets an id to quote, neither SQL nor a stack, and no entry."""
    async with installation.database.write() as session:
        await session.execute(text("PRAGMA foreign_keys = OFF"))
        await session.execute(text(f"ALTER TABLE {table} RENAME TO gone"))
        await session.commit()
    # What is cached is not looked up again: another key has to be.
    headers = owner.headers if table == "jobs" else dict(owner.other_key.headers)
    answer = await client.get(f"/v1/jobs/{owner.job_id}", headers=headers)
    assert answer.status_code in {500, 503}
    assert not faults(answer)
    assert not any(word in answer.text for word in (table, "gone", "sql", "SQL", "Traceback", ".py"))
