"""What is no HTTP at all, or more of it than is taken: refused by the HTTP server before the gate sees a request."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gate.factories import key, tenant
from tests.gate.served import Served
from tests.serving.sites import Site, serving

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"

HOST = b"Host: localhost\r\n"
KEY = b"X-API-Key: the-right-key\r\n"
GET = b"GET /v1/jobs HTTP/1.1\r\n" + HOST + KEY
VERIFY = b"POST /v1/api-keys/verify HTTP/1.1\r\n" + HOST + KEY


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server in this process; it stops with the test."""
    served = Served()
    served.add_key("the-right-key", key(tenant(limit=1000), scopes=["jobs:read", "api_keys:verify"]))
    async with serving(served) as site:
        yield site


BARE = {
    "no HTTP": (b"\x00\x01\x02\r\n\r\n", 400),
    "no version": (b"GET /v1/jobs\r\n\r\n", 400),
    "an unknown version": (b"GET /v1/jobs HTTP/3.7\r\n" + HOST + b"\r\n", 400),
    "a space in a name": (GET + b"a b: c\r\n\r\n", 400),
    "a space before the colon": (GET + b"X-Tenant-ID : alice\r\n\r\n", 400),
    "a folded line": (GET + b"X-Tenant-ID: alice\r\n bob\r\n\r\n", 400),
    "NUL in a key": (GET + b"X-API-Key: a\x00b\r\n\r\n", 400),
    "NUL in a value": (GET + b"X-Tenant-ID: a\x00b\r\n\r\n", 400),
    "two lengths": (VERIFY + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "a negative length": (VERIFY + b"Content-Length: -2\r\n\r\n{}", 400),
    "a signed length": (VERIFY + b"Content-Length: +2\r\n\r\n{}", 400),
    "an endless length": (VERIFY + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", 400),
    "an unknown coding": (VERIFY + b"Transfer-Encoding: gzip\r\n\r\n{}", 400),
    "a path of 100 KB": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "200 headers": (GET + b"a: b\r\n" * 200 + b"\r\n", 431),
    "headers of 600 KB": (GET + b"a: " + b"x" * 600_000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("name", BARE)
async def test_what_is_no_request_gets_a_bare_refusal(name: str, site: Site) -> None:
    """A status line, no body, and the end of the connection: no key was read, and the reference says so."""
    sent, status = BARE[name]
    answer = await site.raw(sent)
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer)
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 0\r\n" in answer
    assert b"connection: close\r\n" in answer
    assert site.served.app.contexts == []


def test_the_reference_names_every_bare_refusal() -> None:
    """Whoever meets an answer without a body finds out why."""
    section = REFERENCE.read_text(encoding="utf-8").partition("## Answers without a body")[2]
    assert {int(status) for status in re.findall(r"^\| (\d{3}) \|", section, re.MULTILINE)} == {
        status for _, status in BARE.values()
    }


BROKEN_BODIES = {
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_a_broken_body_gets_the_one_error_shape(name: str, site: Site) -> None:
    """The request was read, so it is answered as every other; what follows on the connection is not read."""
    second = GET + b"\r\n"
    answer = await site.raw(VERIFY + BROKEN_BODIES[name] + second)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert (b"connection: close" in head, json.loads(body)["code"]) == (True, "bad_request")


async def test_a_length_beside_chunks_is_not_believed(site: Site) -> None:
    """RFC 9112, 6.1: the chunks count, and the connection ends, so that no proxy's reading of it can smuggle one in."""
    body = b'{"key":"the-right-key"}'
    chunked = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    answer = await site.raw(VERIFY + chunked + GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"valid":true' in answer
    assert b"connection: close" in answer


async def test_http_1_0_is_served(site: Site) -> None:
    """Old clients get the same answers, one a connection unless they ask to keep it."""
    answer = await site.raw(b"GET /v1/jobs HTTP/1.0\r\n" + KEY + b"\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ")
    refused = await site.raw(b"GET /v1/jobs HTTP/1.0\r\n\r\n")
    assert refused.startswith(b"HTTP/1.0 401 ")
    assert b'"code":"missing_api_key"' in refused


@pytest.mark.parametrize("target", [b"CONNECT localhost:1", b"OPTIONS *", b"GET http://elsewhere/v1/nothing"])
async def test_other_forms_of_a_target_are_no_way_around(target: bytes, site: Site) -> None:
    """RFC 9112, 3.2: what is no path of ours needs a key like everything else, and is not there."""
    line = target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
    assert (await site.raw(line + b"\r\n")).startswith(b"HTTP/1.1 401 ")
    assert (await site.raw(line + KEY + b"\r\n")).startswith(b"HTTP/1.1 404 ")
