"""The OpenAPI description, served without a key."""

from __future__ import annotations

import warnings
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.exceptions import LitestarDeprecationWarning
from litestar.openapi import OpenAPIConfig

from aitbc_server.gate.operations import Operation
from aitbc_server.routing import for_operation
from aitbc_server.wire import encode


class OpenAPIRoutes(Controller):
    """Takes the place of the framework's own pages, which load scripts from other sites."""

    include_in_schema = False

    @get("/openapi.json", **for_operation(Operation("openapi", public=True)), sync_to_thread=False)
    def openapi(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """The description as JSON."""
        return Response(encode(request.app.openapi_schema.to_schema()), media_type="application/json")


with warnings.catch_warnings():
    # The successor of the controller, render plugins, cannot be kept from adding routes that declare no operation.
    warnings.simplefilter("ignore", LitestarDeprecationWarning)
    CONFIG = OpenAPIConfig(
        title="AITBC",
        version="1",
        use_handler_docstrings=True,
        openapi_controller=OpenAPIRoutes,  # type: ignore[arg-type]
    )
