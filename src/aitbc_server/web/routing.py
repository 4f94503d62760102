"""How a route says what it needs: the same declaration serves the gate, the OpenAPI and the permission matrix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin
from urllib.parse import parse_qsl

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, no_such_path
from aitbc_server.gate.answers import method_not_allowed
from aitbc_server.gate.body import refuse_announced_size
from aitbc_server.gate.context import CONTEXT
from aitbc_server.gate.operations import Audience, Operation, Route
from aitbc_server.gate.query import unknown, wrong_query

_OPERATION = "operation"
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,17})")
# What is wrong with how a value is written; None: nothing.
_Spelling = Callable[[str], str | None]
_ERRORS = "errors"
_LENIENT_QUERY = "lenient_query"
_BODIES = "bodies"
_FORM = "form"
_ERROR_SHAPE = "error_shape"


class ErrorShape(NamedTuple):
    """How a route answers errors where another standard than ours says how: ``statuses`` with what each means."""

    media_type: str
    body: Any
    statuses: Mapping[int, str]


def for_operation(
    operation: Operation,
    *,
    errors: Iterable[Code] = (),
    lenient_query: bool = False,
    bodies: Iterable[Any] = (),
    form: Any = None,
    error_shape: ErrorShape | None = None,
) -> dict[str, Any]:
    """Keyword arguments of a Litestar handler: ``@get("/v1/jobs", **for_operation(LIST_JOBS))``.

    ``errors`` are the codes that the route answers with beside those that every such route has, for the OpenAPI.
    ``lenient_query``: query parameters that it does not know are ignored, as clients in the field rely on.
    ``bodies``: the types of the body, for the OpenAPI, where it takes several forms. ``form``: the type of the body
    where it is a form, and ``error_shape`` how errors look where they are not problems, both for the OpenAPI.
    """
    opt = {
        _OPERATION: operation,
        _ERRORS: tuple(errors),
        _LENIENT_QUERY: lenient_query,
        _BODIES: tuple(bodies),
        _FORM: form,
        _ERROR_SHAPE: error_shape,
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


def form_of(handler: BaseRouteHandler) -> Any:
    """The type of a handler's body where it is a form, else None."""
    return handler.opt.get(_FORM)


def error_shape_of(handler: BaseRouteHandler) -> ErrorShape | None:
    """How a handler's errors look where they are not problems."""
    shape = handler.opt.get(_ERROR_SHAPE)
    return shape if isinstance(shape, ErrorShape) else None


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
        raise no_such_path()


def methods_of(app: Litestar, path_format: str) -> set[str]:
    """The methods that operations on this path take."""
    return {route.method for route in routes_of(app) if route.path == path_format} - {"OPTIONS"}


def only_small_bodies(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard on every route: a body that is announced as too large is refused also where nobody would read it.

    What is not announced is counted while it is read. The body of a GET means nothing and is ignored.
    """
    if connection.scope.get("method") != "GET":
        refuse_announced_size(connection.scope["headers"])


def only_known_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard on every route: refuse query parameters that it does not know, and values that would count as none.

    A filter with a typing error in its name would otherwise answer as if there were no filter, and so would
    ``?status=null``, which the framework reads as "not given". (ASVS 2.2.1)
    """
    operation = operation_of(handler)
    raw = connection.scope["query_string"]
    if not raw or operation is None or operation.audience is not Audience.KEY:
        return
    known = query_parameters(handler, frozenset(connection.scope["path_params"]))
    errors = list(_query_errors(raw.decode("latin-1"), known, lenient=handler.opt.get(_LENIENT_QUERY, False)))
    if errors:
        raise wrong_query(errors)


def _query_errors(query: str, known: Mapping[str, _Spelling], *, lenient: bool) -> Iterator[FieldError]:
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            if not lenient:
                yield unknown(name)
        elif name in seen:
            yield FieldError(field=name, message="is given more than once")
        elif (wrong := known[name](value)) is not None:
            yield FieldError(field=name, message=wrong)
        seen.add(name)


@lru_cache(maxsize=1024)
def query_parameters(handler: BaseRouteHandler, path_parameters: frozenset[str]) -> Mapping[str, _Spelling]:
    """The query parameters that a handler takes, each with what says what is wrong with a value's spelling."""
    model = handler.create_kwargs_model(dict.fromkeys(path_parameters))  # type: ignore[arg-type]
    types = {name: parameter.annotation for name, parameter in handler.parsed_fn_signature.parameters.items()}
    return {each.field_alias: _spelling(types.get(each.field_name, str)) for each in model.expected_query_params}


def _spelling(kind: Any) -> _Spelling:
    if kind is str or str in get_args(kind):
        return lambda _: None
    return _not_in_digits if kind is int or int in get_args(kind) else _null


def _null(value: str) -> str | None:
    return "cannot be null; leave it out" if value.lower() == "null" else None


def _not_in_digits(value: str) -> str | None:
    # The framework would read 1e2 as 100, and " 7" as 7; another reader of the same request might not.
    return None if _INTEGER.fullmatch(value) else "must be an integer, in digits"


#: What every route is guarded by, in this order.
GUARDS = [only_what_the_gate_decided, only_small_bodies, only_known_query]
