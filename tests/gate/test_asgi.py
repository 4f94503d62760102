"""The middleware: every route protected, every answer in one shape, nothing of an error told, nothing sent twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from tests.gate.factories import call_raw, key, tenant
from tests.gate.served import LIST, Served

from aitbc_server.errors import Code, DomainError, conflict
from aitbc_server.gate.operations import UNMATCHED
from aitbc_server.gate.request import ClientAddress

KEY = "the-right-key"


@pytest.fixture
def served() -> Served:
    """A gate that knows one key of a tenant with 2 requests a minute."""
    made = Served()
    made.add_key(KEY, key(tenant(limit=2)))
    return made


async def test_a_right_key_reaches_the_app(served: Served) -> None:
    """The app learns who asks, and the answer carries the limits and an id."""
    answer = await served.get("/v1/jobs", KEY)
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["ratelimit"] == '"free";r=1;t=60'
    (context,) = served.app.contexts
    assert context.operation is LIST
    assert context.client_ip == "192.0.2.1"
    assert context.credential_text == KEY.encode()
    assert answer.headers["x-request-id"] == context.request_id
    assert KEY not in repr(context)


async def test_request_ids_differ(served: Served) -> None:
    """Each answer has its own."""
    answers = [await served.get("/health") for _ in range(3)] + [await Served().get("/health")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


async def test_every_answer_says_what_browsers_must_not_do(served: Served) -> None:
    """Answers of the app, of the gate, and errors. ASVS 3.4.3 to 3.4.6, 14.3.2."""
    for answer in [
        await served.get("/health"),
        await served.get("/v1/jobs"),
        await served.get("/v1/api-keys/self", KEY),
    ]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_browsers_are_told_to_come_by_https_where_that_is_so() -> None:
    """ASVS 3.4.1: two years, with all names below, on every answer; and not a word of it where there is no HTTPS."""
    by_https, by_http = Served(https=True), Served()
    for path in ("/health", "/v1/jobs", "/nothing"):
        hsts = (await by_https.get(path)).headers["strict-transport-security"]
        assert hsts == "max-age=63072000; includeSubDomains"
        assert "strict-transport-security" not in (await by_http.get(path)).headers


async def test_the_apps_own_headers_stay(served: Served) -> None:
    """A page with its own policy keeps it; no header comes twice."""
    served.app.headers = [(b"content-security-policy", b"default-src 'self'")]
    answer = await served.get("/v1/jobs", KEY)
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert len(answer.headers) == len(answer.pairs)


async def test_public_routes_need_no_key(served: Served) -> None:
    """And look at none that is sent along."""
    for answer in [await served.get("/health"), await served.get("/health", "wrong")]:
        assert answer.status == 200
        assert "ratelimit" not in answer.headers
    assert served.source.asked == []
    assert served.app.contexts[0].facts is None


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, "missing_api_key"),
        ([(b"authorization", b"Basic dTpw")], 401, "missing_api_key"),
        ([(b"x-api-key", b"wrong")], 401, "invalid_api_key"),
        ([(b"x-api-key", b"")], 401, "invalid_api_key"),
        ([(b"x-api-key", b"\xff\xfe")], 401, "invalid_api_key"),
        ([(b"x-api-key", b"k" * 10_240)], 401, "invalid_api_key"),
        ([(b"authorization", b"bearer wrong")], 401, "invalid_api_key"),
        ([(b"x-api-key", KEY.encode()), (b"x-api-key", KEY.encode())], 400, "ambiguous_credentials"),
        ([(b"x-api-key", KEY.encode()), (b"authorization", b"Bearer other")], 400, "ambiguous_credentials"),
        ([(b"x-api-key", KEY.encode()), (b"x-tenant-id", b"")], 403, "tenant_mismatch"),
        ([(b"x-api-key", KEY.encode()), (b"x-tenant-id", b"\xff")], 403, "tenant_mismatch"),
        ([(b"x-api-key", KEY.encode()), (b"x-tenant-id", b"ALICE")], 403, "tenant_mismatch"),
        ([(b"x-api-key", KEY.encode()), (b"x-tenant-id", b"alice"), (b"x-tenant-id", b"alice")], 400, "bad_request"),
    ],
)
async def test_a_bad_credential_is_a_clear_error(
    served: Served, headers: list[tuple[bytes, bytes]], status: int, code: str
) -> None:
    """400, 401 or 403, never 500, and the app is not reached. ASVS 6.3.4, 16.5.1."""
    answer = await call_raw(served.middleware, "GET", "/v1/jobs", headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert served.app.contexts == []
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:aitbc:error:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["status"] == status
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert ("error=" in answer.headers.get("www-authenticate", "")) is (code == "invalid_api_key")


async def test_empty_keys_count_as_failures(served: Served) -> None:
    """Guessing with nothing is guessing."""
    for _ in range(30):
        assert (await served.get("/v1/jobs", "")).status == 401
    answer = await served.get("/v1/jobs", "")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (429, "too_many_failures", "1")


@pytest.mark.parametrize("spelling", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_bearer_is_the_same(served: Served, spelling: str) -> None:
    """The scheme's name has no case (RFC 9110, 11.1)."""
    answer = await served.get("/v1/jobs", None, ("authorization", f"{spelling} {KEY}"))
    assert answer.status == 200


async def test_over_the_limit(served: Served) -> None:
    """429 with the time to wait; who waits that long is let in."""
    answers = [await served.get("/v1/jobs", KEY) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.json["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    served.clock.step(int(refused.headers["retry-after"]))
    assert (await served.get("/v1/jobs", KEY)).status == 200


async def test_who_lacks_the_scope_is_refused_with_its_limits(served: Served) -> None:
    """The key was checked, so its limits are shown; nothing was taken. ASVS 8.2.1."""
    served.add_key("reader", key(tenant("bob"), "kid000000002", scopes=["jobs:read"]))
    answer = await served.call("POST", "/v1/jobs", "reader")
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    assert answer.headers["x-ratelimit-remaining"] == "60"


async def test_the_key_in_the_path_is_compared_with_the_callers(served: Served) -> None:
    """The path's parameter reaches the decision."""
    served.add_key("writer", key(tenant("bob"), "kid000000002", scopes=["api_keys:write"]))
    assert (await served.call("PATCH", "/v1/api-keys/key_other", "writer")).status == 200
    assert (await served.call("PATCH", "/v1/api-keys/key_kid000000002", "writer")).status == 403


@pytest.mark.parametrize(
    "path", ["/v1/jobs/", "//v1/jobs", "/v1//jobs", "/V1/jobs", "/v1/other", "/v1/jobs/../jobs", ""]
)
async def test_no_other_spelling_of_a_path_reaches_the_app(served: Served, path: str) -> None:
    """A stranger is told to bring a key, a known key that there is nothing. ASVS 8.3.1."""
    assert (await served.get(path)).status == 401
    answer = await served.get(path, KEY)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.json["detail"] == "There is no such path."
    assert served.app.contexts == []
    assert served.counts() == {("kid000000001", UNMATCHED.operation.id, "allowed"): 1}


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "TRACE", "get", "head", "PROPFIND"])
async def test_other_methods(served: Served, method: str) -> None:
    """405 with the ones that there are, for who has a key. ASVS 4.1.4."""
    assert (await served.call(method, "/v1/jobs")).status == 401
    answer = await served.call(method, "/v1/jobs", KEY)
    allowed = "GET, HEAD, POST"
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "method_not_allowed", allowed)
    assert served.app.contexts == []


async def test_other_methods_of_a_public_path(served: Served) -> None:
    """There is nothing to keep from a stranger: 405 without a key."""
    answer = await served.call("POST", "/health")
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "method_not_allowed", "GET, HEAD")
    assert served.app.contexts == []


async def test_an_error_of_the_app_tells_nothing(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The log has it all, with the id that the caller can quote. ASVS 16.5.1, 16.5.4."""
    served.app.error = RuntimeError("the password is 1234")
    with caplog.at_level(logging.ERROR):
        answer = await served.get("/v1/jobs", KEY)
    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert b"1234" not in answer.body
    assert answer.headers["ratelimit"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert getattr(record, "request_id", "") == answer.json["request_id"]


async def test_a_domain_error_of_the_app_is_answered(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """With its code and headers; its text for the operator goes to the log."""
    served.app.error = conflict("Not now.")
    assert (await served.get("/v1/jobs", KEY)).status == 409
    served.app.error = DomainError(Code.UNAVAILABLE, "Later.", log="disk full", headers={"retry-after": "9"})
    with caplog.at_level(logging.WARNING):
        answer = await served.get("/v1/jobs", KEY)
    assert (answer.status, answer.headers["retry-after"]) == (503, "9")
    assert "disk full" in caplog.text
    assert b"disk" not in answer.body


async def test_an_error_in_the_middle_of_an_answer_starts_no_second_one(served: Served) -> None:
    """It goes on to the server, which drops the connection: half an answer must not look whole."""
    served.app.error, served.app.fails_after_start = RuntimeError("late"), True
    messages: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        messages.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/health", "headers": [], "client": None}
    with pytest.raises(RuntimeError, match="late"):
        await served.middleware(scope, no_receive, send)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    assert messages[-1]["more_body"]


async def test_a_send_that_fails_is_not_answered_again(served: Served) -> None:
    """The connection is gone: trying to say so would fail too."""
    sent = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)
        raise OSError("gone")

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/v1/jobs", "headers": [], "client": None}
    with pytest.raises(OSError, match="gone"):
        await served.middleware(scope, no_receive, send)
    assert len(sent) == 1


async def no_receive() -> dict[str, Any]:
    """Nothing comes."""
    raise AssertionError("nobody should ask")


async def test_other_protocols(served: Served) -> None:
    """Lifespan events reach the app; a websocket's handshake is refused; what is unknown is met with silence."""
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    for protocol in ("lifespan", "websocket", "webtransport"):
        await served.middleware({"type": protocol}, no_receive, send)
    assert served.app.lifespans == 1
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["localhost"], 200),
        (["LOCALHOST:8000"], 200),
        (["127.0.0.1:8000"], 200),
        (["[::1]:8000"], 200),
        (["[::1]"], 200),
        (["evil.example"], 400),
        (["localhost.evil.example"], 400),
        (["localhost", "localhost"], 400),
        (["[::1].evil.example"], 400),
        ([], 400),
        ([""], 400),
    ],
)
async def test_only_loopback_names_where_asked_for(hosts: list[str], status: int) -> None:
    """A page that points its own name at 127.0.0.1 gets nothing, not even from public routes (DNS rebinding)."""
    served = Served(allowed_hosts=frozenset({b"localhost", b"127.0.0.1", b"[::1]"}))
    answer = await served.get("/health", None, *(("host", host) for host in hosts))
    assert answer.status == status


async def test_the_address_behind_a_proxy_reaches_the_decision() -> None:
    """Only a trusted proxy speaks for another. ASVS 15.3.4."""
    from ipaddress import ip_network

    served = Served(client_address=ClientAddress([ip_network("10.0.0.0/8")]))
    served.add_key(KEY, key(networks=["192.0.2.0/24"]))
    forwarded = ("x-forwarded-for", "192.0.2.7")
    assert (await served.call("GET", "/v1/jobs", KEY, forwarded, peer="10.0.0.1")).status == 200
    assert (await served.call("GET", "/v1/jobs", KEY, forwarded, peer="198.51.100.1")).status == 403
    assert served.app.contexts[0].client_ip == "192.0.2.7"


async def test_what_the_database_does_not_answer_is_503(served: Served) -> None:
    """With a time to try again. ASVS 16.5.2, 16.5.3."""
    served.source.is_away = True
    answer = await served.get("/v1/jobs", KEY)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
