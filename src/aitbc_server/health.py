"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

import msgspec
from litestar import get

from aitbc_server.gate.operations import Operation
from aitbc_server.routing import for_operation


class Health(msgspec.Struct):
    """``{"status": "ok"}``."""

    status: str = "ok"


@get("/health/live", **for_operation(Operation("health.live", public=True)))
async def live() -> Health:
    """The process answers."""
    return Health()


ROUTES = [live]
