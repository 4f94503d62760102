"""The edge where errors become answers: every exception of the framework's routes, in the one error shape."""

from __future__ import annotations

import logging
import re
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import ParameterKwarg

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.asgi import CONTEXT
from aitbc_server.problem import MEDIA_TYPE, STATUS, encode_problem, www_authenticate
from aitbc_server.routing import method_not_allowed
from aitbc_server.validation import BODY, field_error

logger = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]

_CODES = {
    400: Code.BAD_REQUEST,
    404: Code.NOT_FOUND,
    413: Code.PAYLOAD_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
}
_DETAILS = {
    Code.BAD_REQUEST: "The request could not be read.",
    Code.NOT_FOUND: "There is no such object.",
    Code.PAYLOAD_TOO_LARGE: "The body is larger than 1 MiB.",
    Code.UNSUPPORTED_MEDIA_TYPE: "Send the body as application/json.",
}
_MISSING = re.compile(r"Missing required \w+ parameter '(.+)' for")


def domain_error(request: AnyRequest, error: DomainError) -> Response[bytes]:
    """Answer a domain error."""
    if error.log is not None:
        logger.warning("%s", error.log, extra={"request_id": _request_id(request)})
    headers = dict(error.headers)
    challenge = www_authenticate(error.code)
    if challenge is not None:
        headers["www-authenticate"] = challenge
    return Response(
        encode_problem(error.code, error.detail, _request_id(request), error.errors),
        status_code=STATUS[error.code],
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework itself refuses: unknown paths and methods, bodies that it cannot read."""
    if isinstance(error, ValidationException):
        return domain_error(request, _validation_error(request, error))
    if error.status_code == 405:
        return domain_error(request, method_not_allowed(_allowed(error)))
    code = _CODES.get(error.status_code)
    if code is None:
        return unexpected_error(request, error)
    return domain_error(request, DomainError(code, _DETAILS[code]))


def unexpected_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The last resort (ASVS 16.5.4): the log has it all, the caller learns nothing but the id to quote."""
    logger.error("a request failed", exc_info=error, extra={"request_id": _request_id(request)})
    detail = "Something went wrong on our side. Quote the request id to the operator."
    return domain_error(request, DomainError(Code.INTERNAL_ERROR, detail))


EXCEPTION_HANDLERS: dict[Any, Any] = {
    DomainError: domain_error,
    HTTPException: http_error,
    Exception: unexpected_error,
}


def _request_id(request: AnyRequest) -> str:
    context = request.scope.get(CONTEXT)
    return getattr(context, "request_id", "")


def _allowed(error: HTTPException) -> list[str]:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("allow", "").split(", ")


def _validation_error(request: AnyRequest, error: ValidationException) -> DomainError:
    extra = error.extra if isinstance(error.extra, list) else []
    errors = [_parameter_error(request, item) for item in extra if isinstance(item, dict)]
    missing = _MISSING.match(error.detail)
    if missing is not None:
        errors = [FieldError(field=missing[1], message="is required")]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors) or _DETAILS[Code.BAD_REQUEST]
    return DomainError(Code.VALIDATION_ERROR, detail, errors=errors)


def _parameter_error(request: AnyRequest, item: dict[str, Any]) -> FieldError:
    """The framework names the handler's argument, and has split the path off: the parameter gets its own name back."""
    key, _, rest = str(item.get("key", "")).partition(".")
    if key == "data":
        # A body that is there was read by then, with errors of its own.
        return FieldError(field=BODY, message="is missing; send a JSON object")
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    if parameter is None:
        return field_error(str(item.get("message", "")), root=key)
    kwarg = parameter.kwarg_definition
    name = kwarg.name if isinstance(kwarg, ParameterKwarg) and kwarg.name else key
    return field_error(str(item.get("message", "")), parameter.annotation, root=".".join(filter(None, [name, rest])))
