"""GET /v1/api-keys/self as a plain ASGI answer: the presented key, its tenant, what is left of its limits."""

from __future__ import annotations

from typing import Protocol

from aitbc_server.gate.answers import JSON, Answer
from aitbc_server.gate.asgi import Receive, Scope
from aitbc_server.gate.context import Context
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.query import refuse_parameters


class LastUse(Protocol):
    """Whoever knows when and from where a key was last used."""

    def document_tail(self, credential: Credential) -> bytes:
        """The JSON of ``last_used_at``, ``last_used_ip`` and ``previous_secret``, with the closing brace."""
        ...


class SelfHandler:
    """An ``ImmediateHandler`` that puts the answer together from bytes that were made when the record was loaded."""

    def __init__(self, last_use: LastUse) -> None:
        self._document_tail = last_use.document_tail

    def __call__(self, context: Context, scope: Scope, receive: Receive) -> Answer:
        """See ``Handler``. Raises ``validation_error`` for a query: requests with one come here, and never early."""
        if scope["query_string"]:
            refuse_parameters(scope["query_string"])
        return self.answer(context)

    def answer(self, context: Context) -> Answer:
        """See ``ImmediateHandler``."""
        decision = context.decision
        assert decision is not None
        credential, tenant, limits = decision.credential, decision.tenant, decision.limits
        assert credential is not None
        assert tenant is not None
        assert limits is not None
        parts = (
            b'{"key":',
            credential.record.document,
            self._document_tail(credential),
            b',"tenant":',
            tenant.document,
            b',"limits":',
            limits.status % context.limit_state,
            b"}",
        )
        return 200, [JSON], b"".join(parts)
