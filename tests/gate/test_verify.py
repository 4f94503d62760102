"""POST /v1/api-keys/verify: the same decision for other services, on the presented key's account."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from tests.gate.factories import Answered, key, tenant
from tests.gate.served import Served

from aitbc.schemas.api_keys import VerifyResult

VERIFY = "/v1/api-keys/verify"
NOTHING = dict.fromkeys(("key_id", "tenant_id", "plan", "scopes", "environment", "expires_at", "metadata", "ratelimit"))
NOT_FOUND = {"valid": False, "code": "NOT_FOUND", **NOTHING}


class Service:
    """A service with a gateway key of alice's; ``asks`` about keys that its callers presented."""

    def __init__(self) -> None:
        self.served = Served()
        self.served.add_key("gateway", key(tenant("alice", 60), "kidgateway00", scopes=["api_keys:verify"]))
        self.served.add_key(
            "operators", key(tenant("house"), "kidoperator0", scopes=["api_keys:verify"], verifies_all=True)
        )

    def add(self, text: str = "presented", *, of: Any = None, **fields: Any) -> str:
        """A key that somebody may present."""
        grace = {name: fields.pop(name) for name in ("is_previous", "expires_at") if name in fields}
        credential = {"is_previous": True, "expires_at_us": grace["expires_at"]} if grace else {}
        return self.served.add_key(text, key(of or tenant("alice", 60), "kidpresented", **fields), **credential)

    async def asks(self, presented: Any = "presented", caller: str = "gateway", **body: Any) -> Any:
        """The answer's JSON, which has the schema's fields and no others."""
        answer = await self.post(json.dumps({"key": presented, **body}).encode(), caller)
        assert answer.status == 200, answer.body
        assert answer.json.keys() == set(VerifyResult.__struct_fields__)
        msgspec.json.decode(answer.body, type=VerifyResult)
        return answer.json

    async def refusal(self, **body: Any) -> dict[str, str]:
        """The errors by field of a question that is not valid."""
        answer = await self.post(json.dumps({"key": "presented", **body}).encode())
        assert (answer.status, answer.json["code"]) == (422, "validation_error"), answer.body
        return {each["field"]: each["message"] for each in answer.json["errors"]}

    async def post(self, body: bytes | Iterable[bytes], caller: str = "gateway", *headers: tuple[str, str]) -> Answered:
        """A raw body."""
        return await self.served.call(
            "POST", VERIFY, caller, *(headers or [("content-type", "application/json")]), body=body
        )


@pytest.fixture
def service() -> Service:
    return Service()


async def test_a_valid_key(service: Service) -> None:
    """Everything about it that the service needs, and one request taken from its limit."""
    service.add(
        scopes=["jobs:write", "jobs:read"],
        metadata=b'{"team":"\xc3\xa9"}',
        expires_at_us=service.served.clock.now_us + 3_600_000_000,
    )
    assert await service.asks(scope="jobs:read") == {
        "valid": True,
        "code": "VALID",
        "key_id": "key_kidpresented",
        "tenant_id": "alice",
        "plan": "free",
        "scopes": ["jobs:read", "jobs:write"],
        "environment": "live",
        "expires_at": "2026-09-21T15:13:20.000Z",
        "metadata": {"team": "é"},
        "ratelimit": {"limit": 60, "remaining": 59, "reset_s": 60},
    }


REASONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("REVOKED", {"revoked": True}, {}),
    ("DISABLED", {"enabled": False}, {}),
    ("EXPIRED", {"expires_at_us": 1}, {}),
    ("EXPIRED", {"is_previous": True, "expires_at": 1}, {}),
    ("TENANT_MISMATCH", {}, {"tenant_id": "bob"}),
    ("TENANT_MISMATCH", {}, {"tenant_id": ""}),
    ("TENANT_SUSPENDED", {"of": tenant("alice", suspended=True)}, {}),
    ("IP_NOT_ALLOWED", {"networks": ["10.0.0.0/8"]}, {"client_ip": "192.0.2.1"}),
    ("IP_NOT_ALLOWED", {"networks": ["10.0.0.0/8"]}, {}),
    ("INSUFFICIENT_SCOPE", {"scopes": ["jobs:write"]}, {"scope": "jobs:read"}),
]


@pytest.mark.parametrize(("code", "fields", "body"), REASONS)
async def test_each_reason_is_told_to_who_has_the_right_secret(
    service: Service, code: str, fields: dict[str, Any], body: dict[str, Any]
) -> None:
    """With all that is known of the key; nothing is taken from its limits."""
    service.add(**fields)
    for _ in range(2):
        answer = await service.asks(**body)
        assert (answer["valid"], answer["code"]) == (False, code)
        assert (answer["key_id"], answer["tenant_id"]) == ("key_kidpresented", "alice")
        assert answer["ratelimit"]["remaining"] == 60


async def test_a_limit_that_is_used_up(service: Service) -> None:
    """The presented key's own, of which the tightest is shown; the refused one takes nothing."""
    service.add(limit=3)
    answers = [await service.asks(cost=2) for _ in range(2)]
    assert [answer["code"] for answer in answers] == ["VALID", "RATE_LIMITED"]
    assert answers[1]["ratelimit"] == {"limit": 3, "remaining": 1, "reset_s": 60}
    assert answers[1]["key_id"] == "key_kidpresented"


async def test_a_secret_in_its_grace_period_is_valid(service: Service) -> None:
    """That is what the grace period is for."""
    service.add(is_previous=True, expires_at=service.served.clock.now_us + 1)
    assert (await service.asks(scope="jobs:read"))["code"] == "VALID"


async def test_the_caller_pays_nothing_and_both_are_counted(service: Service) -> None:
    """The caller's limit stays whole; its decision and the presented key's are counted, each for its key."""
    small = key(tenant("house", 1), "kidsmall0000", scopes=["api_keys:verify"], verifies_all=True)
    service.served.add_key("small", small)
    service.add(of=tenant("bob", 100, "pro"), limit=2)
    for _ in range(5):
        answer = await service.post(b'{"key": "presented"}', "small")
        assert answer.headers["x-ratelimit-remaining"] == "1"
    assert service.served.counts() == {
        ("kidsmall0000", "api_keys.verify", "allowed"): 5,
        ("kidpresented", "api_keys.verify", "allowed"): 2,
        ("kidpresented", "api_keys.verify", "rate_limit_exceeded"): 3,
    }
    assert ("kidpresented", None) in service.served.uses.uses


async def test_the_last_use_has_the_clients_address(service: Service) -> None:
    """Not the service's own."""
    service.add()
    await service.asks(client_ip="2001:db8::1")
    assert service.served.uses.uses[-1] == ("kidpresented", "2001:db8::1")


async def test_a_question_of_cost_0_takes_nothing(service: Service) -> None:
    """A service may look without taking, also at a limit that is used up."""
    service.add(limit=1)
    assert [(await service.asks(cost=cost))["code"] for cost in (0, 1, 0)] == ["VALID"] * 3
    assert (await service.asks())["code"] == "RATE_LIMITED"


@pytest.mark.parametrize(
    "presented", ["unknown", "", "aitbc_live_malformed", "é", "\x00", "k" * 512, "aitbc_live_" + "0" * 62]
)
async def test_wrong_keys_are_not_found(service: Service, presented: str) -> None:
    """Unknown, malformed, wrong: nothing else is told. ASVS 6.3.8."""
    assert await service.asks(presented) == NOT_FOUND


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("of", "environment"), [("bob", "live"), ("alice", "test"), ("bob", "test")])
async def test_a_tenants_gateway_sees_its_own_keys_only(
    service: Service, of: str, environment: str, cached: bool
) -> None:
    """Another tenant's or environment's key is not found: same bytes, same work, a failure. ASVS 8.4.1, 8.2.2."""
    service.add(of=tenant(of), environment=environment, granted=[tenant("alice")])
    if cached:
        await service.served.get("/v1/jobs", "presented")
    asked = len(service.served.source.asked)
    bodies = {(await service.post(json.dumps({"key": text}).encode())).body for text in ("presented", "nobodys")}
    assert len(bodies) == 1
    assert json.loads(bodies.pop()) == NOT_FOUND
    new = service.served.source.asked[asked:]
    assert [text for text in new if text != b"gateway"] == [b"presented", b"nobodys"]
    assert ("kidpresented", "api_keys.verify", "allowed") not in service.served.counts()
    assert (await service.asks(caller="operators"))["valid"]


async def test_a_gateway_that_acts_for_a_granted_tenant_sees_that_tenants_keys(service: Service) -> None:
    """X-Tenant-ID chooses whose keys it may ask about."""
    service.served.add_key(
        "roving", key(tenant("bob"), "kidroving000", scopes=["api_keys:verify"], granted=[tenant("alice")])
    )
    service.add()
    assert await service.asks(caller="roving") == NOT_FOUND
    answer = await service.post(b'{"key": "presented"}', "roving", ("x-tenant-id", "alice"))
    assert answer.json["valid"]


async def test_the_presented_key_may_act_for_a_granted_tenant(service: Service) -> None:
    """``tenant_id`` says whose plan applies, as the header does."""
    service.add(granted=[tenant("bob", 600, "pro")], limit=5)
    answer = await service.asks(tenant_id="bob")
    assert (answer["tenant_id"], answer["plan"], answer["ratelimit"]["limit"]) == ("bob", "pro", 5)
    assert service.served.counts()["kidpresented", "api_keys.verify", "allowed"] == 1


async def test_guesses_are_slowed_by_the_clients_address(service: Service) -> None:
    """30 failures a minute from the address that the service names, then RATE_LIMITED and nothing else. ASVS 2.4.1."""
    service.add()
    assert (await service.asks(client_ip="192.0.2.66"))["valid"]
    for number in range(30):
        assert await service.asks(f"guess {number}", client_ip="192.0.2.66") == NOT_FOUND
    slowed = {"valid": False, "code": "RATE_LIMITED", **NOTHING}
    assert await service.asks("guess 30", client_ip="192.0.2.66") == slowed
    assert (await service.asks(client_ip="192.0.2.66"))["valid"]
    assert await service.asks("guess 31", client_ip="192.0.2.67") == NOT_FOUND
    service.served.clock.step(1)
    assert await service.asks("guess 32", client_ip="192.0.2.66") == NOT_FOUND


async def test_without_an_address_the_caller_is_slowed_down(service: Service) -> None:
    """Its wrong keys count together; keys known to be good pass, and other callers go on. ASVS 2.4.1."""
    service.add()
    assert (await service.asks())["valid"]
    for number in range(30):
        assert await service.asks(f"guess {number}") == NOT_FOUND
    assert (await service.asks("guess 30"))["code"] == "RATE_LIMITED"
    assert (await service.asks())["valid"]
    assert await service.asks("guess 31", client_ip="192.0.2.1") == NOT_FOUND
    for number in range(30):
        assert await service.asks(f"guess {number}", caller="operators") == NOT_FOUND
    assert (await service.asks("guess 30", caller="operators"))["code"] == "RATE_LIMITED"


@pytest.mark.parametrize("scope", ["Jobs:Read", "jobs:readx", "", "*"])
async def test_an_unknown_scope_is_refused(service: Service, scope: str) -> None:
    """A service that asks for a scope in the wrong case learns it at once, and not from its users."""
    assert list(await service.refusal(scope=scope)) == ["scope"]


@pytest.mark.parametrize(
    "client_ip", ["", "localhost", "192.0.2", "192.0.2.1:80", "192.0.2.1, 10.0.0.1", "::g", "fe80::1%eth0", "::1%\r\n"]
)
async def test_an_unreadable_address_is_refused(service: Service, client_ip: str) -> None:
    """Guessing what was meant would slow down or let in the wrong one."""
    assert list(await service.refusal(client_ip=client_ip)) == ["client_ip"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", -1),
        ("cost", "1"),
        ("cost", 1.5),
        ("cost", 10**9),
        ("cost", None),
        ("scope", 1),
        ("tenant_id", ["a"]),
        ("extra", 1),
    ],
)
async def test_a_bad_field_is_named(service: Service, field: str, value: object) -> None:
    """422 with the field. ASVS 2.2.1."""
    assert list(await service.refusal(**{field: value})) == [field]


async def test_a_cost_that_never_fits_is_refused(service: Service) -> None:
    """It could wait for ever; nothing is taken, nothing counted. A reason to refuse the key comes first."""
    service.add(limit=5)
    errors = await service.refusal(cost=6)
    assert "limit of 5" in errors["cost"]
    assert (await service.asks(cost=5))["valid"]
    assert service.served.counts()["kidpresented", "api_keys.verify", "allowed"] == 1
    service.served.cache.drop(["alice"])
    service.add(limit=5, revoked=True)
    assert (await service.asks(cost=6))["code"] == "REVOKED"


async def test_a_granted_tenants_plan_bounds_the_cost(service: Service) -> None:
    """The limits that apply are those of the tenant that was named."""
    service.add(of=tenant("alice", 60), granted=[tenant("bob", 600, "pro")])
    assert (await service.asks(cost=600, tenant_id="bob"))["valid"]
    assert list(await service.refusal(cost=61)) == ["cost"]
    assert list(await service.refusal(cost=601, tenant_id="bob")) == ["cost"]
    assert (await service.asks(cost=61, tenant_id="carol"))["code"] == "TENANT_MISMATCH"


async def test_the_scope_is_needed_to_ask(service: Service) -> None:
    """Any other key is refused before its body is looked at. ASVS 8.2.1."""
    service.add()
    answer = await service.post(b"not even JSON", "presented")
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    assert (await service.served.call("POST", VERIFY)).status == 401


async def test_what_cannot_be_checked_is_503(service: Service) -> None:
    """Neither valid nor invalid. ASVS 16.5.3."""
    service.add()
    await service.asks("unknown")
    service.served.source.is_away = True
    answer = await service.post(b'{"key": "presented"}')
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
