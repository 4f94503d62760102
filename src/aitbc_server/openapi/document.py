"""The whole description (OpenAPI 3.1)."""

from __future__ import annotations

import inspect
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.openapi.answers import HEADERS, answers
from aitbc_server.openapi.parameters import parameters
from aitbc_server.openapi.schemas import Schemas
from aitbc_server.web.routing import bodies_of, form_of, operation_of

#: The major version of the API, as its paths have it.
API_VERSION = "1"

_DESCRIPTION = """\
Every request carries an API key, in `X-API-Key` or as `Authorization: Bearer`. The scopes that it needs are named with
each operation; none are named where any key will do. Errors are `application/problem+json` (RFC 9457). HEAD is answered
wherever GET is, as GET is but without the body."""

_SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def describe(app: Litestar) -> dict[str, Any]:
    """The description of every route of the API: the dashboard's pages are for people."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            operation = operation_of(handler)
            if operation is not None and not operation.page:
                described = _operation(route, handler, operation, schemas)
                methods = paths.setdefault(route.path_format, {})
                methods.update({method.lower(): described for method in sorted(handler.http_methods)})
    return {
        "openapi": "3.1.0",
        "info": {"title": "AITBC", "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.named.items())),
            "headers": HEADERS,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(route: HTTPRoute, handler: HTTPRouteHandler, operation: Operation, schemas: Schemas) -> dict[str, Any]:
    text = inspect.cleandoc(handler.fn.__doc__ or "")
    summary = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.id.partition(".")[0]],
        "summary": summary,
        "description": text,
        "security": _security(operation),
        "responses": answers(handler, schemas, has_path_parameters=bool(route.path_parameters)),
    }
    expected = parameters(route, handler, schemas)
    if expected:
        described["parameters"] = expected
    if handler.parsed_data_field is not None:
        described["requestBody"] = {
            "required": not handler.parsed_data_field.is_optional,
            "content": {"application/json": {"schema": schemas.of(*bodies_of(handler))}},
        }
    form = form_of(handler)
    if form is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schemas.of(form)}},
        }
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.audience is Audience.EVERYONE:
        return []
    scopes = [] if operation.scope is None else [str(operation.scope)]
    return [{name: scopes} for name in _SECURITY_SCHEMES]
