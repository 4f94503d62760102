"""Where the description is served: without a key, like every document."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from aitbc_server.gate.operations import Operation
from aitbc_server.openapi.document import describe
from aitbc_server.routing import for_operation
from aitbc_server.wire import encode

_MADE = "openapi"


@get("/openapi.json", **for_operation(Operation("openapi", public=True)), sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """This description, as JSON."""
    made = request.app.state
    if _MADE not in made:
        made[_MADE] = encode(describe(request.app))
    return Response(made[_MADE], media_type="application/json")


ROUTES = [openapi]
