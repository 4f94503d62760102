"""How a route says what it needs: the same declaration serves the gate, the OpenAPI and the permission matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError, not_found
from aitbc_server.gate.asgi import CONTEXT
from aitbc_server.gate.operations import Operation, Route
from aitbc_server.json_limits import MAX_BODY_BYTES

_OPERATION = "operation"
_ERRORS = "errors"
_LENIENT_QUERY = "lenient_query"
_BODIES = "bodies"


def for_operation(
    operation: Operation, *, errors: Iterable[Code] = (), lenient_query: bool = False, bodies: Iterable[Any] = ()
) -> dict[str, Any]:
    """Keyword arguments of a Litestar handler: ``@get("/v1/jobs", **for_operation(LIST_JOBS))``.

    ``errors`` are the codes that the route answers with beside those that every such route has, for the OpenAPI.
    ``lenient_query``: query parameters that it does not know are ignored, as clients in the field rely on.
    ``bodies``: the types of the body, for the OpenAPI, where it takes several forms.
    """
    opt = {
        _OPERATION: operation,
        _ERRORS: tuple(errors),
        _LENIENT_QUERY: lenient_query,
        _BODIES: tuple(bodies),
    }
    return {"opt": opt, "operation_id": operation.id}


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


def errors_of(handler: BaseRouteHandler) -> tuple[Code, ...]:
    """The codes of its own that a handler declares."""
    return tuple(handler.opt.get(_ERRORS, ()))


def bodies_of(handler: BaseRouteHandler) -> tuple[Any, ...]:
    """The types that a handler's body may have."""
    field = handler.parsed_data_field
    declared = tuple(handler.opt.get(_BODIES, ()))
    return declared or (() if field is None else (without_none(field.annotation),))


def without_none(kind: Any) -> Any:
    """The type itself, where None is another choice beside it."""
    if get_origin(kind) is UnionType and NoneType in get_args(kind):
        [kind] = [each for each in get_args(kind) if each is not NoneType]
    return kind


def only_what_the_gate_decided(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard on every route: the framework must be about to run the very operation that the gate let pass.

    Two routers that read a path differently (a trailing slash, an encoded letter) would otherwise be a way around
    the scopes. (ASVS 8.3.1)
    """
    operation = operation_of(handler)
    if operation is None:
        # The framework adds a handler for OPTIONS to every path; nothing here needs it.
        raise method_not_allowed(methods_of(connection.app, connection.scope["path_template"]))
    if getattr(connection.scope.get(CONTEXT), "operation", None) is not operation:
        raise not_found()


def methods_of(app: Litestar, path_format: str) -> set[str]:
    """The methods that operations on this path take."""
    return {route.method for route in routes_of(app) if route.path == path_format}


def method_not_allowed(methods: Iterable[str]) -> DomainError:
    """The path is there, but takes other methods (RFC 9110, 15.5.6)."""
    allow = ", ".join(sorted(set(methods) - {"OPTIONS"}))
    return DomainError(Code.METHOD_NOT_ALLOWED, f"This path takes {allow} only.", headers={"allow": allow})


def only_small_bodies(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard on every route: a body that is announced as too large is refused also where nobody would read it.

    What is not announced is counted while it is read. The body of a GET means nothing and is ignored.
    """
    length = connection.headers.get("content-length", "")
    if connection.scope.get("method") != "GET" and length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise DomainError(Code.PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB.")


def only_known_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard on every route: refuse query parameters that it does not know, and values that would count as none.

    A filter with a typing error in its name would otherwise answer as if there were no filter, and so would
    ``?status=null``, which the framework reads as "not given". (ASVS 2.2.1)
    """
    operation = operation_of(handler)
    raw = connection.scope["query_string"]
    if not raw or operation is None or operation.public:
        return
    known = query_parameters(handler, frozenset(connection.scope["path_params"]))
    errors = list(_query_errors(raw.decode("latin-1"), known, lenient=handler.opt.get(_LENIENT_QUERY, False)))
    if errors:
        detail = "; ".join(f"{error.field}: {error.message}" for error in errors[:5])
        raise DomainError(Code.VALIDATION_ERROR, detail, errors=errors[:5])


def _query_errors(query: str, known: Mapping[str, bool], *, lenient: bool) -> Iterator[FieldError]:
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            if not lenient:
                yield FieldError(field=name[:100] or "query", message="is not a query parameter of this path")
        elif name in seen:
            yield FieldError(field=name, message="is given more than once")
        elif value.lower() == "null" and not known[name]:
            yield FieldError(field=name, message="cannot be null; leave it out")
        seen.add(name)


@lru_cache(maxsize=1024)
def query_parameters(handler: BaseRouteHandler, path_parameters: frozenset[str]) -> Mapping[str, bool]:
    """The query parameters that a handler takes, each with whether it takes any text."""
    model = handler.create_kwargs_model(dict.fromkeys(path_parameters))  # type: ignore[arg-type]
    types = {name: parameter.annotation for name, parameter in handler.parsed_fn_signature.parameters.items()}
    return {each.field_alias: _takes_text(types.get(each.field_name, str)) for each in model.expected_query_params}


def _takes_text(kind: Any) -> bool:
    return kind is str or str in get_args(kind)


#: What every route is guarded by, in this order.
GUARDS = [only_what_the_gate_decided, only_small_bodies, only_known_query]
