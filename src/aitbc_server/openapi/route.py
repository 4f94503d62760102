"""Where the description is served: without a key, like every document."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get

from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.openapi.document import describe
from aitbc_server.openapi.page import POLICY, page
from aitbc_server.web.routing import for_operation
from aitbc_server.wire import encode

OPENAPI = Operation("openapi", audience=Audience.EVERYONE, api=True)
DOCS = Operation("docs", audience=Audience.EVERYONE, api=True)

_MADE = "openapi"
_PAGE = "openapi_page"


@get("/openapi.json", **for_operation(OPENAPI), sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """This description, as JSON."""
    made = request.app.state
    if _MADE not in made:
        made[_MADE] = encode(describe(request.app))
    return Response(made[_MADE], media_type="application/json")


@get("/docs", **for_operation(DOCS), media_type=MediaType.HTML, sync_to_thread=False)
def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """The same description as a page for people."""
    made = request.app.state
    if _PAGE not in made:
        made[_PAGE] = page(describe(request.app))
    return Response(made[_PAGE], media_type=MediaType.HTML, headers={"content-security-policy": POLICY})


ROUTES = [openapi, docs]
