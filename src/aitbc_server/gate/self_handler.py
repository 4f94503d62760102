"""GET /v1/api-keys/self as a plain ASGI answer: the presented key, its tenant, what is left of its limits."""

from __future__ import annotations

from typing import Protocol

import msgspec

from aitbc.schemas.api_keys import LimitStatus, TenantSummary
from aitbc_server.gate.asgi import Context, Receive, Scope
from aitbc_server.gate.headers import Headers, reset_s
from aitbc_server.gate.limiter import WINDOW_S
from aitbc_server.gate.records import Credential, LimitSet, TenantRecord
from aitbc_server.gate.store import Taken

_JSON: Headers = [(b"content-type", b"application/json")]


class LastUse(Protocol):
    """Whoever knows when and from where a key was last used."""

    def document_tail(self, credential: Credential) -> bytes:
        """The JSON of ``last_used_at``, ``last_used_ip`` and ``previous_secret``, with the closing brace."""
        ...


class SelfHandler:
    """Puts the answer together from bytes that were made when the record was loaded."""

    def __init__(self, last_use: LastUse) -> None:
        self._last_use = last_use

    async def __call__(self, context: Context, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        """See ``Handler``."""
        decision = context.decision
        assert decision is not None
        credential, tenant, limits, taken = (
            decision.credential,
            decision.tenant,
            decision.limits,
            decision.taken,
        )
        assert credential is not None and tenant is not None and limits is not None and taken is not None  # noqa: PT018
        key = credential.record.document + self._last_use.document_tail(credential)
        body = b'{"key":%b,"tenant":%b,"limits":%b}' % (key, _tenant(tenant), _limits(limits, taken))
        return 200, list(_JSON), body


def _tenant(tenant: TenantRecord) -> bytes:
    return msgspec.json.encode(TenantSummary(id=tenant.id, name=tenant.name, plan=tenant.plan))


def _limits(limits: LimitSet, taken: Taken) -> bytes:
    return msgspec.json.encode(
        [
            LimitStatus(
                name=limit.name,
                limit=limit.limit,
                window_s=WINDOW_S,
                remaining=level.remaining,
                reset_s=reset_s(level),
            )
            for limit, level in zip(limits.limits, taken.levels, strict=True)
        ]
    )
