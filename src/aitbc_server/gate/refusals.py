"""A log line for each refusal, so that an operator sees who is turned away and why. (ASVS 16.3.1, 16.3.2)

Whoever sends refused requests by the thousand must not fill the disk or slow the server by it: at most
``MAX_LINES`` are written in a second, and one more that says how many were left out. Nothing that the caller made
up is written, so no line can be forged and no secret told.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aitbc_server.errors import Code
from aitbc_server.problem import STATUS

if TYPE_CHECKING:
    from aitbc_server.gate.context import Context
    from aitbc_server.gate.gate import Decision

logger = logging.getLogger(__name__)

#: How many refusals are written in a second.
MAX_LINES = 10
SECOND_S = 1.0

#: What the log calls a refusal: the caller is not who they must be, may not do this, or does it too often.
REFUSALS = frozenset(code for code, status in STATUS.items() if status in {401, 403, 429}) | {
    Code.AMBIGUOUS_CREDENTIALS
}


class RefusalLog:
    """Writes refusals at level info. Allowed requests never come here."""

    def __init__(self, *, max_lines: int = MAX_LINES, second_s: float = SECOND_S) -> None:
        self._max_lines = max_lines
        self._second_s = second_s
        self._noted = 0
        #: How many were noted since the start, by code and operation.
        self.counts: dict[tuple[str, str], int] = {}

    def note(self, code: Code, context: Context, decision: Decision | None = None) -> None:
        """Write that a request was refused. ``decision`` says whose it was, where a right secret was sent.

        What is no refusal (a bad request, a failure of ours) is only counted. To be called in a running event loop.
        """
        key = (str(code), context.operation.id)
        self.counts[key] = self.counts.get(key, 0) + 1
        if code not in REFUSALS:
            return
        if self._noted == 0:
            asyncio.get_running_loop().call_later(self._second_s, self.end_second)
        self._noted += 1
        if self._noted <= self._max_lines:
            logger.info("refused", extra=_line(code, context, decision))

    def end_second(self) -> None:
        """Write how many were left out since the second began; the next refusal begins another."""
        left_out = self._noted - self._max_lines
        self._noted = 0
        if left_out > 0:
            logger.warning("%d more refusals in this second are not shown", left_out)


def _line(code: Code, context: Context, decision: Decision | None) -> dict[str, str]:
    credential = None if decision is None else decision.credential
    tenant = None if decision is None else decision.tenant
    fields = {
        "code": str(code),
        "key_id": None if credential is None else credential.record.key_id,
        "tenant_id": None if tenant is None else tenant.id,
        "client_ip": context.client_ip,
        "operation": context.operation.id,
        "request_id": context.request_id,
    }
    return {name: value for name, value in fields.items() if value is not None}
