"""S2: a secret that went through everything is found nowhere afterwards, but in the hands of who holds the key."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import httpx2
import msgspec
from tests.contract.expectations import RULES
from tests.e2e.processes import ServerProcess, running
from tests.support.asking import JSON
from tests.support.installation import HOME, Installation

from aitbc import keyformat
from aitbc.schemas.scopes import Scope

PIECE = 16


class Canary(NamedTuple):
    """A whole key, and the pieces of its secret that must be nowhere."""

    text: str

    @property
    def pieces(self) -> list[str]:
        """Every part of the secret that is long enough to be no accident."""
        secret = self.text.rpartition("_")[2]
        return [secret[start : start + PIECE] for start in range(len(secret) - PIECE + 1)]

    def is_in(self, data: bytes) -> bool:
        """Whether any piece is there, as text or as an older encoding of two bytes a character."""
        encoded = (piece.encode(coding) for piece in self.pieces for coding in ("ascii", "utf-16-le"))
        return any(piece in data for piece in encoded)


def bad_requests(client: httpx2.Client, canary: Canary, good: str) -> Iterator[httpx2.Response]:
    """The key where it does not belong: in paths, queries, bodies and other headers, with a right key and without."""
    key = canary.text
    for headers in ({}, {"X-API-Key": good}, {"X-API-Key": key}):
        yield client.get(f"/v1/api-keys/{key}", headers=headers)
        yield client.get(f"/{key}", headers=headers)
        yield client.get(f"/v1/jobs/{key}/result", headers=headers)
        for query in ("api_key", "status", "environment", "limit", "cursor", "from", "granularity", key):
            for path in ("/v1/api-keys", "/v1/jobs", "/v1/usage", "/v1/audit-log", "/v1/miners"):
                yield client.get(path, params={query: key}, headers=headers)
        yield client.request(key, "/v1/jobs", headers=headers)
        yield client.get("/v1/jobs", headers={**headers, "X-Tenant-ID": key})
        yield from bad_bodies(client, key, headers)
    yield client.get("/v1/jobs", headers={"X-API-Key": key + "x"})
    yield client.get("/v1/jobs", headers={"X-API-Key": key[:-1]})
    yield client.get("/v1/jobs", headers={"X-API-Key": good, "Authorization": f"Bearer {key}"})
    yield client.get("/v1/jobs", headers={"Authorization": f"Basic {key}"})


def bad_bodies(client: httpx2.Client, key: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
    for (method, path), rule in RULES.items():
        if rule.body is None:
            continue
        url = path.replace("{key_id}", "key_0").replace("{job_id}", "job_0")
        for body in (
            json.dumps({**rule.body, key: key}),
            json.dumps(key),
            f'{{"name": "{key}"',
            json.dumps({name: [key] for name in rule.body}),
            json.dumps({**rule.body, "scopes": [key], "preset": key, "environment": key, "constraints": {key: key}}),
            json.dumps({**rule.body, "expires_at": key, "allowed_ips": [key], "client_ip": key, "scope": key}),
        ):
            yield client.request(method, url, headers={**headers, **JSON}, content=body)
        yield client.request(method, url, headers={**headers, "Content-Type": key}, content="{}")


def everything(client: httpx2.Client, server: ServerProcess, folder: Path) -> Iterator[Canary]:
    """Make keys in every way there is, and use each of them."""
    manager = server.create_key(HOME, "manager")
    gateway = server.create_key(HOME, "gateway")
    yield Canary(manager)
    yield Canary(gateway)
    headers = {"X-API-Key": manager, "Idempotency-Key": "once"}
    made = client.post("/v1/api-keys", headers=headers, json={"name": "made"}).json()
    replayed = client.post("/v1/api-keys", headers=headers, json={"name": "made"})
    assert (replayed.status_code, "key" in replayed.json()) == (201, False)
    changed = client.post(
        f"/v1/api-keys/{made['id']}/regenerate", headers=headers, json={"grace_period_seconds": 60}
    ).json()
    foreign = "sk-" + "Zq7" * 14
    line = {"key": foreign, "tenant": HOME, "environment": "live", "preset": "client"}
    (folder / "keys.jsonl").write_text(json.dumps(line) + "\n")
    server.admin("import-keys", str(folder / "keys.jsonl"))
    (folder / "keys.jsonl").unlink()
    for key in (made["key"], changed["key"], foreign):
        verified = client.post("/v1/api-keys/verify", headers={"X-API-Key": gateway}, json={"key": key})
        assert verified.json()["valid"], verified.text
        assert client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        yield Canary(key)
    for key in (changed["key"], foreign):
        own = client.get("/v1/api-keys/self", headers={"X-API-Key": key}).json()["key"]["id"]
        assert client.post(f"/v1/api-keys/{own}/revoke", headers={"X-API-Key": key}).status_code == 200
        assert client.get("/v1/jobs", headers={"X-API-Key": key}).status_code == 401


def files(folder: Path) -> dict[str, bytes]:
    """What is in every file of a folder: databases with their logs, journals, windows, keys."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_secret_is_anywhere_afterwards(tmp_path: Path) -> None:
    """S2, ASVS 14.2.1, 14.2.6, 16.2.5, 16.4.1: no file, no log, no answer, no description has a piece of a secret."""
    variables = {"AITBC_MAX_FAILURES_PER_MINUTE": "1000000", "AITBC_LOG_LEVEL": "debug"}
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        server.admin("create-plan", "--id", "roomy", "--limit-per-minute", "1000000")
        server.create_tenant(HOME, "roomy")
        good = server.create_key(HOME, "manager")
        with httpx2.Client(base_url=server.url) as client:
            canaries = list(everything(client, server, tmp_path))
            # A foreign key has no form by which it could be known in the name of a field.
            ours = [canary for canary in canaries if keyformat.has_prefix(canary.text)]
            answers = [answer for canary in ours for answer in bad_requests(client, canary, good)]
            told = [
                client.get(path, headers={"X-API-Key": good})
                for path in ("/v1/api-keys", "/v1/audit-log?limit=100", "/v1/usage", "/openapi.json", "/docs")
            ]
        while_it_runs = files(tmp_path / "data")
        assert any(name.endswith("-wal") and data for name, data in while_it_runs.items())
    places: dict[str, bytes] = {"the log": server.log.read_bytes()}
    places |= {f"{name}, running": data for name, data in while_it_runs.items()}
    places |= {f"{name}, stopped": data for name, data in files(tmp_path / "data").items()}
    for number, answer in enumerate([*answers, *told]):
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
        line = f"{number}: {answer.request.method} {str(answer.request.url)[:60]} {answer.status_code}"
        places[line] = head + b"\n" + answer.content
    assert len(answers) > 500
    assert {answer.status_code for answer in told} == {200}
    assert not {place: data[-500:] for place, data in places.items() if any(each.is_in(data) for each in canaries)}


def reachable(root: object) -> Iterator[str | bytes]:
    """Every text that an object holds, however deep; not what code and modules hold."""
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, (ModuleType, type, FrameType, CodeType)):
            continue
        seen.add(id(each))
        if isinstance(each, (str, bytes)):
            yield each
        elif isinstance(each, (bytearray, memoryview)):
            yield bytes(each)
        elif isinstance(each, FunctionType):
            waiting += [*(each.__closure__ or ()), *(each.__defaults__ or ())]
        elif isinstance(each, msgspec.Struct):
            # Some of them are hidden from the garbage collector.
            waiting += [getattr(each, name) for name in each.__struct_fields__]
        else:
            waiting += gc.get_referents(each)


async def test_no_secret_stays_in_memory(installation: Installation, client: httpx2.AsyncClient) -> None:
    """ASVS 14.2.2, 11.2.4: what the server keeps of a request is digests; neither its cache nor anything else has a
    piece of a secret once the request is over.
    """
    key = await installation.add_key(HOME, scopes=Scope)
    canary = Canary(key.text)
    for _ in range(3):
        assert (await client.get("/v1/jobs", headers=dict(key.headers))).status_code == 200
        assert (await client.get("/v1/api-keys/self", headers=dict(key.headers))).status_code == 200
        asked = {"key": key.text}
        assert (await client.post("/v1/api-keys/verify", headers=dict(key.headers), json=asked)).json()["valid"]
        await client.get("/v1/jobs", headers={"X-API-Key": key.text + "x"})
    await client.post("/v1/miners/register", headers=dict(key.headers), json={})
    assert (await client.post("/v1/miners/poll", headers=dict(key.headers), json={"max_wait_seconds": 0})).is_success
    # The poll's last task is told to stop when the answer is there; it needs a turn of the event loop to do so.
    await asyncio.sleep(0.05)
    gc.collect()
    texts = [text.encode(errors="replace") if isinstance(text, str) else text for text in reachable(installation.app)]
    # The walk went where the records are.
    assert any(key.kid.encode() in text for text in texts)
    assert not [text for text in texts if canary.is_in(text)]
