"""The parameters of a route: what its path, its query and its headers may hold."""

from __future__ import annotations

from types import NoneType
from typing import Any, Union, get_args

from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute

from aitbc_server.openapi.schemas import Schema, Schemas

_BOUNDS = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}


def parameters(route: HTTPRoute, handler: HTTPRouteHandler, schemas: Schemas) -> list[dict[str, Any]]:
    """Every parameter of a route, those of the path first, the others by name."""
    model = handler.create_kwargs_model(route.path_parameters)
    arguments = handler.parsed_fn_signature.parameters
    described = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.path_parameters
    ]
    for place, expected in (("query", model.expected_query_params), ("header", model.expected_header_params)):
        for each in sorted(expected, key=lambda parameter: parameter.field_alias):
            argument = arguments[each.field_name]
            kwarg = argument.kwarg_definition
            described.append(
                {
                    "name": each.field_alias,
                    "in": place,
                    "required": each.is_required,
                    "schema": _schema(argument.annotation, argument.default, kwarg, schemas),
                    **_description(kwarg),
                }
            )
    return described


def _schema(annotation: Any, default: Any, kwarg: Any, schemas: Schemas) -> Schema:
    # A parameter is there or not; it is never null.
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] or [annotation]
    schema = dict(schemas.of(Union[tuple(kinds)]))  # noqa: UP007 - there is no other way to join a list of types
    if isinstance(kwarg, ParameterKwarg):
        bounds = {name: getattr(kwarg, argument) for argument, name in _BOUNDS.items()}
        schema |= {name: bound for name, bound in bounds.items() if bound is not None}
        schema |= kwarg.schema_extra or {}
    if default is not None and isinstance(default, str | int):
        schema["default"] = default
    return schema


def _description(kwarg: Any) -> dict[str, str]:
    return {"description": kwarg.description} if isinstance(kwarg, ParameterKwarg) and kwarg.description else {}
