"""What the framework refuses, and what comes of requests that are not right: one shape, and the field by its name."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.contract.expectations import RULES
from tests.support.shape import faults
from tests.usage.world import Clock, World

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.gate import refusals

PATH = "/v1/api-keys"
MIB = 1024 * 1024
UNSUPPORTED = (415, "unsupported_media_type")


class Manager:
    """Sends what a test gives it, with a manager's key."""

    def __init__(self, client: httpx2.AsyncClient, key: str) -> None:
        self.client = client
        self.key = key

    async def send(self, method: str, path: str, content: Any = None, **headers: str) -> httpx2.Response:
        """The answer, whose shape is right whatever it is."""
        given = {"X-API-Key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        answer = await self.client.request(method, path, content=content, headers=given)
        assert faults(answer) == []
        return answer

    async def problem(self, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, str, str]:
        """Status, code and detail of an error."""
        answer = await self.send(method, path, content, **headers)
        problem = answer.json()
        return answer.status_code, problem["code"], problem["detail"]


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    """A server in this process, over SQLite: nothing here depends on the database."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'aitbc.db'}")
    await migrate.upgrade(database)
    world = World(database, tmp_path, Clock())
    await world.add_tenant("acme")
    key = await world.add_key("acme")
    async with world.server() as client:
        yield Manager(client, key.text)
    await database.close()


async def test_what_is_no_json_is_a_bad_request(manager: Manager) -> None:
    """Broken, truncated, not UTF-8, NaN, half a surrogate pair, a byte order mark, two values: 400, and where."""
    for body in (
        b"{",
        b'{"name": "a"',
        b'{"name": "a",}',
        b"{'name': 'a'}",
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "a", "metadata": {"a": NaN}}',
        b'{"name": "a", "metadata": {"a": Infinity}}',
        b'{"name": "\\ud800"}',
        b'{"name": "a", "metadata": {"\\udc00": 1}}',
        b'\xef\xbb\xbf{"name": "a"}',
        b'{"name": "a"} {"name": "b"}',
        b"\x00",
        b"name=a",
    ):
        status, code, detail = await manager.problem("POST", PATH, body)
        assert (status, code, detail.startswith("The body is not ")) == (400, "bad_request", True), body
        assert "codec" not in detail


async def test_what_is_too_much_for_a_field_names_it(manager: Manager) -> None:
    """Depths and numbers that no database keeps: 422, never 500."""
    for value, words in (
        (b"[" * 200 + b"]" * 200, "deeper than 100 levels"),
        (b"[" * 5000 + b"]" * 5000, "nested too deep"),
        (b"1e999", "too large"),
        (b"9" * 5000, "too large"),
        (b"9" * 30, "more than 64 bits"),
        (b'"\\u0000"', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
    ):
        status, code, detail = await manager.problem("POST", PATH, b'{"name": "a", "metadata": {"a": ' + value + b"}}")
        assert (status, code, words in detail) == (422, "validation_error", True), detail


async def test_a_body_that_is_no_object_is_said_to_be_none(manager: Manager) -> None:
    """Whatever it is instead; and none at all."""
    for body, words in (
        (b"null", "must be an object, not null"),
        (b"[]", "must be an object, not a list"),
        (b'"a"', "must be an object, not a string"),
        (b"", "is missing; send a JSON object"),
        (None, "is missing; send a JSON object"),
    ):
        assert await manager.problem("POST", PATH, body) == (422, "validation_error", f"body: {words}")


async def test_what_a_text_must_be_is_said_in_words(manager: Manager) -> None:
    """Of every parameter that has a pattern: nobody is asked to read a regular expression."""
    paths = (await manager.send("GET", "/openapi.json")).json()["paths"]
    asked = set()
    for path, method, parameter in (
        (path, method, parameter)
        for path, methods in paths.items()
        for method, operation in methods.items()
        for parameter in operation.get("parameters", ())
        # To a time its pattern is only a description.
        if "pattern" in parameter["schema"] and parameter["schema"].get("format") != "date-time"
    ):
        name = parameter["name"]
        wrong: dict[str, Any] = {name: b"\xe9 "} if parameter["in"] == "header" else {}
        query = {} if wrong else {name: "\u00e9 "}
        json = RULES[method.upper(), path].body
        headers = {"X-API-Key": manager.key.encode(), **wrong}
        answer = await manager.client.request(method, path, headers=headers, params=query, json=json)
        [error] = answer.json()["errors"]
        assert (error["field"], error["message"][:8], "pattern" in error["message"]) == (name, "must be ", False), path
        asked.add(name)
    assert asked == {"miner_id", "Idempotency-Key", "action", "actor", "key_id"}


async def test_other_types_than_json_are_unsupported(manager: Manager) -> None:
    """415 that says what to send; JSON by other names, and by none, is JSON."""
    body = b'{"name": "a"}'
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "x",
        "xml+json/x",
    ):
        status, code, detail = await manager.problem("POST", PATH, body, content_type=media_type)
        assert (status, code, "application/json" in detail) == (415, "unsupported_media_type", True)
    for media_type in ("application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"):
        assert (await manager.send("POST", PATH, body, content_type=media_type)).status_code == 201
    assert (await manager.send("POST", PATH, body)).status_code == 201


async def test_bodies_over_one_mebibyte_are_too_large(manager: Manager) -> None:
    """413 where the length is announced, where it is not, and where nobody would have read it; at the limit: read."""

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 4096):
            yield b" " * 4096

    too_large = (413, "payload_too_large", "The body is larger than 1 MiB.")
    for path in (PATH, f"{PATH}/key_000000000000/revoke", "/v1/jobs"):
        assert await manager.problem("POST", path, b" " * (MIB + 1)) == too_large
    for path in (PATH, "/v1/jobs"):
        assert await manager.problem("POST", path, chunks(MIB + 4096)) == too_large
    padded = b'{"name": "a"}' + b" " * (MIB - 13)
    assert (await manager.send("POST", PATH, padded)).status_code == 201


async def test_a_client_that_goes_away_is_no_failure_of_ours(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body and then nothing: whatever is answered, nobody reads it, and the log has no stack."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"x-api-key", manager.key.encode())]
    transport: Any = manager.client._transport
    await transport.app(
        {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("192.0.2.1", 1),
        },
        receive,
        send,
    )
    assert [message["status"] for message in sent if "status" in message] == [400]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_body_of_a_get_is_ignored(manager: Manager) -> None:
    """It means nothing (RFC 9110, 9.3.1), however large or broken."""
    for body in (b"{", b" " * (MIB + 1)):
        assert (await manager.send("GET", PATH, body)).status_code == 200


async def test_a_method_that_a_path_does_not_take_says_which_it_takes(manager: Manager) -> None:
    """405 with Allow (RFC 9110, 15.5.6); OPTIONS is no exception while no page may call the API."""
    for method, path, allow in (
        ("PUT", PATH, "GET, HEAD, POST"),
        ("DELETE", f"{PATH}/key_000000000000", "GET, HEAD, PATCH"),
        ("OPTIONS", PATH, "GET, HEAD, POST"),
        ("OPTIONS", "/v1/jobs/x/cancel", "POST"),
        ("POST", "/v1/usage", "GET, HEAD"),
    ):
        answer = await manager.send(method, path)
        assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (
            405,
            "method_not_allowed",
            allow,
        )


async def test_what_fails_inside_tells_nothing(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASVS 16.5.4: the log has it all, the caller the id to quote."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret place")

    monkeypatch.setattr("aitbc_server.api_keys.creation.check_title", fail)
    answer = await manager.send("POST", PATH, b'{"name": "a"}')
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "Zero" not in answer.text


async def test_a_long_text_comes_back_short(manager: Manager) -> None:
    """An error about half a megabyte does not carry it back."""
    long = b"x" * 500_000
    for body in (b'{"' + long + b'": 1, "name": "a"}', b'{"name": "a", "preset": "' + long + b'"}'):
        answer = await manager.send("POST", PATH, body)
        assert (answer.status_code, len(answer.content) < 2000) == (422, True)


async def test_a_refusal_by_the_service_leaves_a_line(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.3.2: what only the object's own service refuses is logged like what the gate refuses."""
    with caplog.at_level(logging.INFO):
        answer = await manager.send("POST", PATH, b'{"name": "a", "scopes": ["api_keys:verify"]}')
    assert answer.status_code == 403
    (line,) = [record for record in caplog.records if record.name == refusals.__name__]
    assert vars(line)["code"] == "insufficient_scope"
    assert vars(line)["operation"] == "api_keys.create"
    assert vars(line)["key_id"] == f"key_{manager.key[11:23]}"
    assert vars(line)["request_id"] == answer.headers["x-request-id"]


async def test_bodies_are_plain_json_in_utf_8(manager: Manager) -> None:
    """ASVS 4.1.1: another charset or a coding would be read one way here and another way elsewhere: 415."""
    body = b'{"name": "a"}'
    for content_type in (
        "application/json; charset=utf-16",
        'application/json; charset="iso-8859-1"',
        "application/json;charset=utf-8;charset=utf-7",
        "application/json; charset=",
    ):
        assert (await manager.problem("POST", PATH, body, content_type=content_type))[:2] == UNSUPPORTED
    for coding in ("gzip", "deflate", "br", "identity, gzip", ""):
        assert (await manager.problem("POST", PATH, body, content_encoding=coding))[:2] == UNSUPPORTED
    for headers in (
        {"content_type": 'application/json; charset="UTF-8"'},
        {"content_type": "application/json;charset=utf8"},
        {"content_type": "application/json; profile=x"},
        {"content_encoding": "identity"},
    ):
        assert (await manager.send("POST", PATH, body, **headers)).status_code == 201
