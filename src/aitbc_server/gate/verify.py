"""POST /v1/api-keys/verify as a plain ASGI answer: the gate's own decision, on behalf of another service."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from aitbc.schemas.api_keys import VerifyApiKey
from aitbc.schemas.scopes import Scope
from aitbc_server.clock import from_ms
from aitbc_server.errors import Code, invalid
from aitbc_server.gate.answers import JSON, Answer, refused
from aitbc_server.gate.asgi import Receive
from aitbc_server.gate.asgi import Scope as AsgiScope
from aitbc_server.gate.body import read_json
from aitbc_server.gate.context import Context
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.gate import UNAVAILABLE, Decision, Gate, MaySee
from aitbc_server.gate.headers import reset_s, tightest
from aitbc_server.gate.loads import SourceUnavailableError
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.own_operations import VERIFY
from aitbc_server.gate.query import refuse_parameters
from aitbc_server.gate.records import KeyRecord, TenantRecord, UsageId
from aitbc_server.gate.refusals import RefusalLog
from aitbc_server.gate.request import parse_address
from aitbc_server.gate.store import StoreUnavailableError

_DECODER = msgspec.json.Decoder(VerifyApiKey)

# What the presented key is asked for: the scope comes from the body, the count goes to one operation.
_ANY_SCOPE = Operation(VERIFY.id)
_BY_SCOPE = {scope.value: Operation(VERIFY.id, scope) for scope in Scope}

_CODES = {
    Code.INVALID_API_KEY: "NOT_FOUND",
    Code.TOO_MANY_FAILURES: "RATE_LIMITED",
    Code.REVOKED_API_KEY: "REVOKED",
    Code.EXPIRED_API_KEY: "EXPIRED",
    Code.DISABLED_API_KEY: "DISABLED",
    Code.INSUFFICIENT_SCOPE: "INSUFFICIENT_SCOPE",
    Code.TENANT_MISMATCH: "TENANT_MISMATCH",
    Code.TENANT_SUSPENDED: "TENANT_SUSPENDED",
    Code.IP_NOT_ALLOWED: "IP_NOT_ALLOWED",
    Code.RATE_LIMIT_EXCEEDED: "RATE_LIMITED",
}
_VALID = "VALID"
# Every field of a VerifyResult but the first two, for who presented no right secret.
_NOTHING: dict[str, Any] = dict.fromkeys(
    ("key_id", "tenant_id", "plan", "scopes", "environment", "expires_at", "metadata", "ratelimit")
)


class VerifyHandler:
    """Checks the key in the body as if it had been sent to this server; takes from its limits, not the caller's."""

    def __init__(self, gate: Gate, refusals: RefusalLog) -> None:
        self._gate = gate
        self._refusals = refusals

    async def __call__(self, context: Context, scope: AsgiScope, receive: Receive) -> Answer:
        """See ``Handler``. Raises DomainError for a query, a bad body, and where the key cannot be checked."""
        if scope["query_string"]:
            refuse_parameters(scope["query_string"])
        asked = await read_json(_DECODER, scope["headers"], receive)
        facts = _facts(asked)
        try:
            found = await self._gate.find(
                asked.key.encode(), facts.client_ip or "", _visible_to(context), said_by=_sayer(context, facts)
            )
            if isinstance(found, Refusal):
                self._note(found, context, facts)
                return _answer(_CODES[found.code], _NOTHING)
            self._refuse_impossible_cost(found, facts, asked.cost)
            decision = await self._gate.decide(asked.key.encode(), found, facts, asked.cost)
        except (SourceUnavailableError, StoreUnavailableError) as error:
            raise refused(UNAVAILABLE) from error
        if decision.refusal is None:
            return _answer(_VALID, _known(decision))
        self._note(decision.refusal, context, facts, decision)
        return _answer(_CODES[decision.refusal.code], _known(decision))

    def _note(self, refusal: Refusal, context: Context, facts: Facts, decision: Decision | None = None) -> None:
        """The log names whose request it was that the caller asked about, not the caller."""
        self._refusals.note(refusal.code, msgspec.structs.replace(context, client_ip=facts.client_ip), decision)

    def _refuse_impossible_cost(self, credential: Credential, facts: Facts, cost: int) -> None:
        most = self._gate.most(credential, facts)
        if cost > most and self._gate.refusal(credential, facts) is None:
            raise invalid("cost", f"is more than this key's limit of {most} a minute, so it could never be allowed")


def _facts(asked: VerifyApiKey) -> Facts:
    """What the body says of the request that the key was presented with. Raises DomainError."""
    operation = _ANY_SCOPE if asked.scope is None else _BY_SCOPE.get(asked.scope)
    if operation is None:
        raise invalid("scope", f"must be one of {', '.join(_BY_SCOPE)}")
    address = parse_address(asked.client_ip)
    if asked.client_ip is not None and address is None:
        raise invalid("client_ip", "must be an IPv4 or IPv6 address")
    return Facts(operation, None, asked.tenant_id, None if address is None else str(address))


def _visible_to(context: Context) -> MaySee:
    """Which keys the caller may ask about: its tenant's, of its environment; all, where an operator made it so."""
    record, tenant = _caller(context)
    return partial(_may_see, record.verifies_all, tenant.id, record.environment)


def _sayer(context: Context, facts: Facts) -> str:
    """Who answers for ``client_ip``: a tenant, whose word must not slow down others; or the operator's own gateway.

    A caller that names no address answers for what it asks about itself: its wrong keys count together.
    """
    record, tenant = _caller(context)
    if facts.client_ip is None:
        return record.key_id
    return "" if record.verifies_all else tenant.id


def _caller(context: Context) -> tuple[KeyRecord, TenantRecord]:
    decision = context.decision
    assert decision is not None
    assert decision.credential is not None
    assert decision.tenant is not None
    return decision.credential.record, decision.tenant


def _may_see(everything: bool, tenant_id: str, environment: str, usage_id: UsageId) -> bool:
    return everything or usage_id[:2] == (tenant_id, environment)


def _known(decision: Decision) -> dict[str, Any]:
    """What is told to who presented a right secret."""
    credential, tenant, limits, taken = decision.credential, decision.tenant, decision.limits, decision.taken
    assert credential is not None
    assert tenant is not None
    assert limits is not None
    assert taken is not None
    record = credential.record
    index = tightest(taken)
    level = taken.levels[index]
    expires_at_us = record.expires_at_us
    return {
        "key_id": record.key_id,
        "tenant_id": tenant.id,
        "plan": tenant.plan,
        "scopes": [scope.value for scope in Scope if scope in record.scopes],
        "environment": record.environment,
        "expires_at": None if expires_at_us is None else from_ms(expires_at_us // 1000).text(),
        "metadata": msgspec.Raw(record.metadata),
        "ratelimit": {
            "limit": limits.limits[index].limit,
            "remaining": level.remaining,
            "reset_s": reset_s(level),
        },
    }


def _answer(code: str, known: dict[str, Any]) -> Answer:
    return 200, [JSON], msgspec.json.encode({"valid": code == _VALID, "code": code, **known})
