"""The ``Idempotency-Key`` header, as routes declare it.

@post("/v1/jobs", **for_operation(CREATE, guards=[one_idempotency_key]))
async def create_job(..., idempotency_key: IdempotencyKeyHeader = None)
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter

from aitbc_server.errors import Code, DomainError
from aitbc_server.validation import PRINTABLE_PATTERN

_NAME = "Idempotency-Key"
_RAW_NAME = _NAME.lower().encode()

#: The header's value: 1 to 255 printable ASCII characters.
IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=_NAME,
        min_length=1,
        max_length=255,
        pattern=PRINTABLE_PATTERN,
        description="Any text of your own. A request that comes again with it within 24 hours is done once.",
    ),
]


def one_idempotency_key(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard: refuse the header sent twice, because either one could be meant."""
    if sum(name == _RAW_NAME for name, _ in connection.scope["headers"]) > 1:
        raise DomainError(Code.BAD_REQUEST, f"{_NAME} was sent more than once.")
