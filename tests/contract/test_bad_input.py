"""Whatever is sent, to every route: an answer below 500, in the one shape, that says what was wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest
from tests.contract.expectations import RULES
from tests.support.asking import JSON, Owner, owner_of, pieces
from tests.support.installation import Installation
from tests.support.shape import faults

MIB = 1024 * 1024


def deep(levels: int) -> bytes:
    return b'{"x":' * levels + b"0" + b"}" * levels


# Whole bodies that are wrong for every route.
BODIES: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \r\n\t ",
    "broken": b"{",
    "broken later": b'{"name": "a",}',
    "two values": b"{}{}",
    "comment": b"{/* */}",
    "single quotes": b"{'name': 'a'}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "not UTF-8": b'{"name":"\xff\xfe"}',
    "overlong UTF-8": b'{"name":"\xc0\x80"}',
    "surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "raw control character": b'{"name":"a\x01"}',
    "NUL after it": b"{}\x00",
    "null": b"null",
    "array": b"[]",
    "string": b'"name"',
    "number": b"1",
    "true": b"true",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "form": b"name=a&scopes=b",
    "100,000 arrays": b"[" * 100_000,
    "100,000 objects": b'{"x":' * 100_000,
    "a number as an object": b'{"name":{"x":1e999999}}',
    "an escaped name": b'{"\\ud800":1}',
}
# Values that are no good anywhere that a caller's own JSON goes.
VALUES: dict[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "1e400": b"1e400",
    "10^5000": b"1" + b"0" * 5000,
    "-10^30": b"-1" + b"0" * 30,
    "2^64": b"18446744073709551616",
    "hexadecimal": b"0x10",
    "leading zero": b"007",
    "lone surrogate": b'"\\ud800"',
    "lone surrogate as a name": b'{"\\udfff":1}',
    "NUL": b'"a\\u0000"',
    "NUL as a name": b'{"\\u0000":1}',
    "200 levels": deep(200),
    "100,000 levels": deep(100_000),
}
# Where a caller's own JSON goes.
FREE = {
    "/v1/jobs": b'{"payload":{"x":%b}}',
    "/v1/jobs (short)": b'{"name":"a","x":%b}',
    "/v1/api-keys": b'{"name":"a","metadata":{"x":%b}}',
    "/v1/miners/register": b'{"capabilities":{"x":%b}}',
    "/v1/miners/heartbeat": b'{"metadata":{"x":%b}}',
    "/v1/miners/job_0/result": b'{"result":{"x":%b}}',
    "/v1/miners/job_0/fail": b'{"error_code":"x","metrics":{"x":%b}}',
}


@pytest.fixture
async def owner(installation: Installation, client: httpx2.AsyncClient) -> Owner:
    return await owner_of(installation, client)


def problems(name: str, answer: httpx2.Response, *, checked: bool | None = True) -> list[str]:
    """What is wrong with an answer that must be a refusal."""
    found = [f"{answer.request.url.path}: {name}: {fault}" for fault in faults(answer, checked=checked)]
    if not 400 <= answer.status_code < 500:
        found.append(f"{answer.request.url.path}: {name}: {answer.status_code}")
    return found


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_object_is_refused_everywhere(
    name: str, owner: Owner, client: httpx2.AsyncClient
) -> None:
    """ASVS 2.2.1, 1.5.3: what is no JSON object in UTF-8 is 4xx on every route that takes one; on none 500."""
    found = []
    for ask in owner.writes():
        answer = await client.request(ask.method, ask.url, headers={**owner.headers, **JSON}, content=BODIES[name])
        # These take no body as well as an empty object.
        if not (name == "empty" and ask.path.endswith(("/regenerate", "/revoke", "/cancel"))):
            found += problems(name, answer)
    assert not found


@pytest.mark.parametrize("name", VALUES)
async def test_json_that_cannot_be_kept_is_refused_everywhere(
    name: str, owner: Owner, client: httpx2.AsyncClient
) -> None:
    """ASVS 2.2.1: 4xx for a value that a database or another reader would change or choke on."""
    found = []
    await client.post("/v1/miners/register", headers=owner.headers, json={})
    for path, template in FREE.items():
        answer = await client.post(
            path.removesuffix(" (short)"), headers={**owner.headers, **JSON}, content=template % VALUES[name]
        )
        found += problems(name, answer)
        if answer.status_code == 422 and not answer.json()["errors"][0]["field"]:
            found.append(f"{path}: {name}: no field")
    assert not found


@pytest.mark.parametrize("path", ["/v1/api-keys/{}/revoke", "/v1/jobs/{}/cancel"])
async def test_what_is_final_is_not_done_by_mistake(path: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """Whoever sends what is no such request meant another one: nothing is ended. No body at all is the usual call,
    whatever type it says that it has: ``curl -d ''`` says that it is a form."""
    url = path.format(owner.other_key.id if "keys" in path else owner.job_id)
    for content, status in ((b'{"x', 400), (b'{"a":1}', 422), (b"null", 422), (b"[]", 422)):
        answer = await client.post(url, headers={**owner.headers, **JSON}, content=content)
        assert answer.status_code == status, content
    seen = (await client.get(url.rpartition("/")[0], headers=owner.headers)).json()
    assert seen.get("status", seen.get("state")) in {"active", "QUEUED"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(url, headers={**owner.headers, **form}, content=b"")
    assert answer.status_code == 200


async def test_a_field_that_nobody_knows_is_refused(owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 8.2.3, 15.3.3: a field that a caller may not set, or a typing error, is refused by its name, not dropped."""
    for ask in owner.writes():
        for name in ("is_admin", "tenant_id_", "Name", "__proto__"):
            answer = await client.request(
                ask.method, ask.url, headers=owner.headers, json={**(ask.json or {}), name: {"x": 1}}
            )
            if ask.path == "/v1/miners/heartbeat":
                # Miners in the field send more than is known (design section 5).
                assert answer.status_code == 200 or answer.json()["code"] == "not_found"
            else:
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name), str(ask)


@pytest.mark.parametrize("size", [MIB, MIB + 1])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_is_one_mebibyte_at_most(
    size: int, announced: bool, owner: Owner, client: httpx2.AsyncClient
) -> None:
    """1 MiB is read, one byte more is 413, whether its length is announced or not."""
    found = []
    for ask in owner.writes():
        body = json.dumps(ask.json).encode()
        body += b" " * (size - len(body))
        content: Any = body if announced else pieces(body)
        answer = await client.request(ask.method, ask.url, headers={**owner.headers, **JSON}, content=content)
        if (answer.status_code == 413) != (size > MIB):
            found.append(f"{ask}: {answer.status_code}")
        found += [f"{ask}: {fault}" for fault in faults(answer, checked=True)]
    assert not found


async def test_the_last_of_two_values_with_one_name_counts(owner: Owner, client: httpx2.AsyncClient) -> None:
    """RFC 8259 leaves it open; every route does the same, so that no two of them read one body differently."""
    body = b'{"name": "first", "name": "last"}'
    answer = await client.post("/v1/api-keys", headers={**owner.headers, **JSON}, content=body)
    assert (answer.status_code, answer.json()["name"]) == (201, "last")
    twice = b'{"key": "%b", "key": "none"}' % owner.key.text.encode()
    answer = await client.post("/v1/api-keys/verify", headers={**owner.headers, **JSON}, content=twice)
    assert answer.json()["code"] == "NOT_FOUND"


TYPES: dict[str, tuple[str | None, bool]] = {
    "application/json": ("application/json", True),
    "with a charset": ("application/json; charset=utf-8", True),
    "with another charset": ("application/json; charset=utf-16", False),
    "in capitals": ("Application/JSON", True),
    "none": (None, True),
    "text": ("text/plain", False),
    "a form": ("application/x-www-form-urlencoded", False),
    "several parts": ("multipart/form-data; boundary=x", False),
    "nearly": ("application/jsonp", False),
    "msgpack": ("application/vnd.msgpack", False),
    "two": ("application/json, text/plain", False),
}


@pytest.mark.parametrize("name", TYPES)
async def test_a_body_is_json_and_says_so_or_says_nothing(name: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 4.1.1, 3.5.1: another content type is 415 on every route, so that no page's form reaches it."""
    media_type, accepted = TYPES[name]
    found = []
    for ask in owner.writes():
        headers = owner.headers if media_type is None else {**owner.headers, "Content-Type": media_type}
        content = json.dumps(ask.json).encode()
        answer = await client.request(ask.method, ask.url, headers=headers, content=content)
        if (answer.status_code == 415) == accepted:
            found.append(f"{ask}: {answer.status_code}")
        found += faults(answer, checked=True)
    assert not found


Change = Callable[[str], str]
PATHS: dict[str, Change] = {
    "a slash behind it": lambda url: url + "/",
    "two slashes": lambda url: url.replace("/v1/", "/v1//"),
    "two in front": lambda url: "/" + url,
    "an encoded slash": lambda url: url.replace("/v1/", "/v1%2F"),
    "dots": lambda url: url.replace("/v1/", "/v1/./"),
    "up and down": lambda url: url.replace("/v1/", "/v1/x/../"),
    "encoded dots": lambda url: url.replace("/v1/", "/v1/%2e%2e/v1/"),
    "capitals": lambda url: url.replace("/v1/", "/V1/"),
    "an encoded letter": lambda url: url.replace("/v1/", "/%761/"),
    "NUL": lambda url: url + "%00",
    "a line break": lambda url: url + "%0d%0aX-Tenant-ID:%20globex",
    "not UTF-8": lambda url: url + "%ff%fe",
    "half an escape": lambda url: url + "%",
    "a parameter": lambda url: url + ";a=b",
    "8 KB": lambda url: url + "/" + "x" * 8192,
    "8 KB of it": lambda url: url + "x" * 8192,
}


def raw(client: httpx2.AsyncClient, method: str, url: str, **options: Any) -> httpx2.Request:
    """A request whose path is sent as it is written."""
    request = client.build_request(method, "/", **options)
    request.url = httpx2.URL("http://localhost").copy_with(raw_path=url.encode())
    return request


@pytest.mark.parametrize("name", PATHS)
async def test_a_strange_path_is_no_way_around(name: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 8.3.1: another spelling of a path is refused without a key, and with one it is the same route or none."""
    found = []
    for ask in owner.asks():
        url = PATHS[name](ask.url)
        stranger = await client.send(raw(client, ask.method, url, json=ask.json))
        if stranger.status_code != 401:
            found.append(f"{ask}: {stranger.status_code} to a stranger")
        member = await client.send(raw(client, ask.method, url, headers=owner.headers, json=ask.json))
        # 409 and what a registered miner gets: the routes before this one in the round have changed something.
        if member.status_code not in {404, 405, RULES[ask.method, ask.path].allowed, 200, 204, 409}:
            found.append(f"{ask}: {member.status_code} to a member")
        found += [f"{ask}: {fault}" for fault in (*faults(stranger, no_credential=True), *faults(member, checked=True))]
    assert not found


QUERIES = ("x=%00", "limit=1&limit=2", "limit=abc", "cursor=%ff", "from=%00", "&&=&", "a" * 4000)


async def test_a_parameter_that_nobody_knows_is_refused(owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 2.2.1: on every route alike, but on those that existing clients call, which ignore it (design section 5)."""
    lenient = ("/v1/jobs/", "/v1/miners/")
    for ask in owner.asks():
        answer = await client.request(ask.method, f"{ask.url}?foo=1", headers=owner.headers, json=ask.json)
        if ask.path.startswith(lenient) or (ask.method, ask.path) == ("POST", "/v1/jobs"):
            assert answer.status_code != 422, str(ask)
        else:
            problem = answer.json()
            assert answer.status_code == 422, str(ask)
            assert problem["detail"] == "foo: is not a query parameter of this path", str(ask)
            assert problem["errors"] == [{"field": "foo", "message": "is not a query parameter of this path"}]


async def test_a_strange_query_is_refused_by_its_name(owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 2.2.1, 14.2.1: no route takes a key from its query; a filter with a typing error is not no filter."""
    found = []
    for ask in owner.asks():
        for query in (
            f"api_key={owner.key.text}",
            "x=%00",
            "limit=1&limit=2",
            "limit=abc",
            "cursor=%ff",
            "&&=&",
            "a" * 4000,
        ):
            stranger = await client.send(raw(client, ask.method, f"{ask.url}?{query}", json=ask.json))
            if stranger.status_code != 401:
                found.append(f"{ask}?{query}: {stranger.status_code}")
            url = f"{ask.url}?{query}"
            member = await client.send(raw(client, ask.method, url, headers=owner.headers, json=ask.json))
            found += [f"{ask}?{query}: {fault}" for fault in faults(member, checked=True)]
            if member.status_code >= 500:
                found.append(f"{ask}?{query}: {member.status_code}")
    assert not found


HEADERS: dict[str, tuple[Mapping[str, str] | list[tuple[bytes, bytes]], set[int]]] = {
    "a key of 10 KB": ({"X-API-Key": "a" * 10_240}, {401}),
    "a bearer of 10 KB": ({"Authorization": "Bearer " + "a" * 10_240}, {401}),
    "an empty key": ({"X-API-Key": ""}, {401}),
    "white space": ({"X-API-Key": "   "}, {401}),
    "not ASCII": ([(b"X-API-Key", b"\xff\xfe\xc3\xbc")], {401}),
    "not ASCII in a tenant": ([(b"X-Tenant-ID", b"\xff")], {401}),
    "a key twice": ([(b"X-API-Key", b"a"), (b"X-API-Key", b"a")], {400}),
    "a key in both": ({"X-API-Key": "a", "Authorization": "Bearer b"}, {400}),
    "a tenant twice": ([(b"X-API-Key", b"a"), (b"X-Tenant-ID", b"a"), (b"X-Tenant-ID", b"a")], {400}),
    "NUL": ([(b"X-API-Key", b"a\x00b")], {401}),
    "quotes": ({"X-API-Key": "' OR 1=1 --"}, {401}),
    "a bearer of nothing": ({"Authorization": "Bearer "}, {401}),
    "two words": ({"Authorization": "Bearer a b"}, {401}),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_strange_credential_is_refused(name: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """Issue point 3, ASVS 1.2.4, 1.3.12: 400 or 401 on every route, never 500."""
    headers, statuses = HEADERS[name]
    found = []
    for ask in owner.asks():
        answer = await client.request(ask.method, ask.url, headers=headers, json=ask.json)
        missing = answer.json().get("code") == "missing_api_key"
        found += [f"{ask}: {fault}" for fault in faults(answer, checked=False, no_credential=missing)]
        if answer.status_code not in statuses:
            found.append(f"{ask}: {answer.status_code}")
    assert not found


async def test_a_filter_of_null_is_no_filter_left_out(owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 2.2.1: ``?status=null`` is refused by its name; text may well read "null"."""
    nulls = (
        "/v1/api-keys?status=null",
        "/v1/api-keys?environment=NULL",
        "/v1/jobs?state=null",
        "/v1/usage?group_by=null",
    )
    for url in nulls:
        answer = await client.get(url, headers=owner.headers)
        assert answer.status_code == 422, url
        assert answer.json()["errors"][0]["field"] in url
    assert (await client.get("/v1/api-keys?q=null", headers=owner.headers)).json()["items"] == []
    twice = await client.get("/v1/jobs?state=QUEUED&state=RUNNING", headers=owner.headers)
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "state")


@pytest.mark.parametrize("limit", ["1e2", "1.0", "+7", " 7", "07", "0x10", "1_0", "\u0663", "1" * 19, "", "true"])
async def test_a_number_in_a_query_is_written_in_digits(limit: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 1.5.3, 2.2.1: no spelling of which another reader of the request would make another number."""
    for path in ("/v1/api-keys", "/v1/jobs", "/v1/miners", "/v1/audit-log"):
        answer = await client.get(path, headers=owner.headers, params={"limit": limit})
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"field": "limit", "message": "must be an integer, in digits"}],
        )


NUMBERS = {
    "/v1/miners/heartbeat": "inflight",
    "/v1/miners/register": "concurrency",
    "/v1/miners/poll": "max_wait_seconds",
    "/v1/jobs": "ttl_seconds",
    "/v1/api-keys": "limit_per_minute",
    "/v1/api-keys/verify": "cost",
    "/v1/api-keys/{key_id}/regenerate": "grace_period_seconds",
}


@pytest.mark.parametrize(
    "number", ["-1", "1000000000000", "1e300", "1" + "0" * 30, "9223372036854775808", "1.5", '"5"']
)
async def test_a_number_has_bounds(number: str, owner: Owner, client: httpx2.AsyncClient) -> None:
    """ASVS 2.2.1: no number reaches a database that cannot hold it, and a text is no number."""
    await client.post("/v1/miners/register", headers=owner.headers, json={})
    for path, field in NUMBERS.items():
        rule = json.dumps(RULES["POST", path].body)[:-1]
        body = (rule + (", " if len(rule) > 1 else "") + f'"{field}": {number}}}').encode()
        url = path.replace("{key_id}", owner.other_key.id)
        answer = await client.post(url, headers={**owner.headers, **JSON}, content=body)
        if (path, number) != ("/v1/miners/poll", "1.5"):
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), (path, answer.text)
