"""The answers of a route: what it returns, and every error that it may have instead."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_origin

from litestar import MediaType, Response
from litestar.handlers import HTTPRouteHandler

from aitbc.schemas.problem import Problem
from aitbc_server.errors import Code
from aitbc_server.gate.operations import Audience
from aitbc_server.openapi.schemas import Schema, Schemas
from aitbc_server.problem import MEDIA_TYPE, STATUS, TITLES
from aitbc_server.web.routing import ErrorShape, error_shape_of, errors_of, operation_of

_ACCEPTED = 202
_NO_CONTENT = 204

#: Wherever a key is checked.
_GATE = (
    Code.BAD_REQUEST,
    Code.AMBIGUOUS_CREDENTIALS,
    Code.MISSING_API_KEY,
    Code.INVALID_API_KEY,
    Code.REVOKED_API_KEY,
    Code.EXPIRED_API_KEY,
    Code.DISABLED_API_KEY,
    Code.TENANT_MISMATCH,
    Code.TENANT_SUSPENDED,
    Code.IP_NOT_ALLOWED,
    Code.INSUFFICIENT_SCOPE,
    Code.RATE_LIMIT_EXCEEDED,
    Code.TOO_MANY_FAILURES,
    Code.VALIDATION_ERROR,
    Code.UNAVAILABLE,
)
_BODY = (Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.VALIDATION_ERROR)

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"description": "Quote it when you report a problem.", "required": True, "schema": _TEXT},
    "RateLimit-Policy": {"description": "Every limit that applies, with its quota and window.", "schema": _TEXT},
    "RateLimit": {"description": "What is left of each, and when it grows again.", "schema": _TEXT},
    "X-RateLimit-Limit": {"description": "The tightest limit.", "schema": _NUMBER},
    "X-RateLimit-Remaining": {"description": "What is left of it.", "schema": _NUMBER},
    "X-RateLimit-Reset": {
        "description": "Seconds until the oldest counted request leaves its window.",
        "schema": _NUMBER,
    },
    "WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "required": True, "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before trying again.", "required": True, "schema": _NUMBER},
}
_LIMITS = ("RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_OWN_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def answers(handler: HTTPRouteHandler, schemas: Schemas, *, has_path_parameters: bool) -> dict[str, Any]:
    """Every answer by its status."""
    operation = operation_of(handler)
    public = operation is None or operation.audience is Audience.EVERYONE
    limits = () if public else _LIMITS
    described = _successes(handler, schemas, limits)
    shape = error_shape_of(handler)
    if shape is not None:
        return described | _in_shape(shape, schemas)
    codes = {Code.INTERNAL_ERROR, *errors_of(handler), *(() if public else _GATE)}
    codes |= set(_BODY) if handler.parsed_data_field is not None else set()
    codes |= {Code.PAYLOAD_TOO_LARGE} if handler.http_methods != {"GET"} else set()
    codes |= {Code.NOT_FOUND} if has_path_parameters else set()
    problem = schemas.of(Problem)
    for status in sorted({STATUS[code] for code in codes}):
        own = [code for code in Code if code in codes and STATUS[code] == status]
        described[str(status)] = {
            "description": "; ".join(f"{TITLES[code]} (`{code}`)" for code in own) + ".",
            "headers": _headers(*limits, *_OWN_HEADERS.get(status, ())),
            "content": {MEDIA_TYPE: {"schema": problem}},
        }
    return described


def _in_shape(shape: ErrorShape, schemas: Schemas) -> dict[str, Any]:
    """Errors as another standard has them."""
    content = {shape.media_type: {"schema": schemas.of(shape.body)}}
    return {
        str(status): {"description": text, "headers": _headers(*_OWN_HEADERS.get(status, ())), "content": content}
        for status, text in shape.statuses.items()
    }


def _successes(handler: HTTPRouteHandler, schemas: Schemas, limits: tuple[str, ...]) -> dict[str, Any]:
    kind = _returned(handler)
    headers = _headers(*limits)
    content = _html() if handler.media_type == MediaType.HTML else _json(schemas.of(kind))
    described = {str(handler.status_code): {"description": "Done.", "headers": headers, **content}}
    if "confirmed" in getattr(kind, "__struct_fields__", ()):
        description = "Committed, and in effect on every node soon: `confirmed` is false."
        described[str(_ACCEPTED)] = {"description": description, "headers": headers, **content}
    for status, spec in (handler.responses or {}).items():
        body = {} if spec.data_container is None else _json(schemas.of(spec.data_container))
        described[str(status)] = {"description": spec.description, "headers": headers, **body}
    return described


def _returned(handler: HTTPRouteHandler) -> Any:
    """The type of the body; a handler may wrap it into a Response, and leave it out of one with no content."""
    kind = handler.parsed_return_field.annotation
    if get_origin(kind) is Response:
        kind = get_args(kind)[0]
    if _NO_CONTENT in (handler.responses or {}):
        [kind] = [each for each in get_args(kind) if each is not NoneType]
    return kind


def _json(schema: Schema) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _html() -> dict[str, Any]:
    return {"content": {"text/html": {"schema": {"type": "string"}}}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}
