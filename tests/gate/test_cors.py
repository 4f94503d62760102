"""CORS: only the origins that were configured, never the wildcard, never cookies. ASVS 3.4.2."""

from __future__ import annotations

import pytest
from tests.gate.factories import Answered, call, key
from tests.gate.served import App, Served

from aitbc_server.gate.cors import Cors

OURS, OTHER = "https://app.example.com", "https://evil.example"


class Site:
    """The gate behind ``Cors``, and pages of some origin."""

    def __init__(self) -> None:
        self.served = Served()
        self.served.add_key("k", key())
        self.cors = Cors(self.served.middleware, [OURS, "http://localhost:3000"], https=True)

    async def fetch(self, method: str, *headers: tuple[str, str]) -> Answered:
        """A request of a page."""
        return await call(self.cors, method, "/v1/jobs", headers)


@pytest.fixture
def site() -> Site:
    return Site()


def preflight(origin: str) -> list[tuple[str, str]]:
    return [
        ("origin", origin),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-api-key"),
    ]


async def test_a_preflight_of_ours_is_answered_without_a_key(site: Site) -> None:
    """The browser sends none along; the app is not reached."""
    answer = await site.fetch("OPTIONS", *preflight(OURS))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"x-api-key", "authorization", "content-type", "x-tenant-id", "idempotency-key"} <= set(allowed)
    assert site.served.app.contexts == []


@pytest.mark.parametrize(
    "origin",
    [OTHER, "null", "", "*", OURS.upper(), OURS + "/", OURS + ".evil.example", "http://app.example.com", OURS + ":443"],
)
async def test_other_origins_get_nothing(site: Site, origin: str) -> None:
    """Compared whole: no case, no suffix, no scheme, no port is taken for another."""
    asked = await site.fetch("OPTIONS", *preflight(origin))
    assert asked.status == 401
    answer = await site.fetch("GET", ("origin", origin), ("x-api-key", "k"))
    for each in (asked, answer):
        assert not [name for name in each.headers if name.startswith("access-control")]
        assert each.headers["vary"] == "Origin"


async def test_an_answer_may_be_read_by_our_pages(site: Site) -> None:
    """With the headers that tell of limits; an error too; cookies never."""
    for headers, status in [([("x-api-key", "k")], 200), ([], 401)]:
        answer = await site.fetch("GET", ("origin", OURS), *headers)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == OURS
        assert "access-control-allow-credentials" not in answer.headers
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert {"ratelimit", "ratelimit-policy", "retry-after", "x-ratelimit-remaining", "x-request-id"} <= exposed


async def test_every_limit_header_may_be_read(site: Site) -> None:
    """Whatever the gate adds about limits is exposed."""
    answer = await site.fetch("GET", ("origin", OURS), ("x-api-key", "k"))
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {name for name in answer.headers if "ratelimit" in name} <= exposed


async def test_two_origins_are_none(site: Site) -> None:
    """No browser sends that."""
    answer = await site.fetch("GET", ("origin", OURS), ("origin", OURS), ("x-api-key", "k"))
    assert "access-control-allow-origin" not in answer.headers


async def test_options_without_a_preflight_is_a_request_like_others(site: Site) -> None:
    """It needs a key."""
    assert (await site.fetch("OPTIONS", ("origin", OURS))).status == 401


async def test_without_an_origin_only_vary_is_added(site: Site) -> None:
    """Programs are no pages."""
    answer = await site.fetch("GET", ("x-api-key", "k"))
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_other_protocols_pass() -> None:
    """Start and stop reach the app."""
    app = App()
    await Cors(app, [OURS])({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert app.lifespans == 1
