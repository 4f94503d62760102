"""How a route says what it needs: the same declaration serves the gate, the OpenAPI and the permission matrix."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from aitbc_server.errors import not_found
from aitbc_server.gate.asgi import CONTEXT
from aitbc_server.gate.operations import Operation, Route

_OPERATION = "operation"


def for_operation(operation: Operation) -> dict[str, Any]:
    """Keyword arguments of a Litestar handler: ``@get("/v1/jobs", **for_operation(LIST_JOBS))``."""
    return {"opt": {_OPERATION: operation}, "operation_id": operation.id}


def routes_of(app: Litestar) -> list[Route]:
    """Every route of the app with its operation. Raises LookupError for one that declares none."""
    routes = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            operation = operation_of(handler)
            if operation is None and handler.http_methods != {"OPTIONS"}:
                raise LookupError(f"{route.path} declares no operation")
            if operation is not None:
                routes += [Route(str(method), route.path_format, operation) for method in handler.http_methods]
    return routes


def operation_of(handler: BaseRouteHandler | HTTPRouteHandler) -> Operation | None:
    """The operation that a handler declares."""
    operation = handler.opt.get(_OPERATION)
    return operation if isinstance(operation, Operation) else None


def only_what_the_gate_decided(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard on every route: the framework must be about to run the very operation that the gate let pass.

    Two routers that read a path differently (a trailing slash, an encoded letter) would otherwise be a way around
    the scopes. (ASVS 8.3.1)
    """
    context = connection.scope.get(CONTEXT)
    if context is None or context.operation is not operation_of(handler):
        raise not_found()
