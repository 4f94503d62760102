"""The edge where errors become answers: every exception of the framework's routes, in the one error shape."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.asgi import CONTEXT
from aitbc_server.problem import MEDIA_TYPE, STATUS, encode_problem, www_authenticate

logger = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]

_CODES = {
    400: Code.BAD_REQUEST,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.PAYLOAD_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
}
_DETAILS = {
    Code.BAD_REQUEST: "The request could not be read.",
    Code.NOT_FOUND: "There is no such object.",
    Code.METHOD_NOT_ALLOWED: "This path does not take this method.",
    Code.PAYLOAD_TOO_LARGE: "The body is larger than 1 MiB.",
    Code.UNSUPPORTED_MEDIA_TYPE: "Send the body as application/json.",
}


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
        return domain_error(request, _validation_error(error))
    code = _CODES.get(error.status_code)
    if code is None:
        return unexpected_error(request, error)
    return domain_error(request, DomainError(code, _DETAILS[code], headers=_allow(error)))


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


def _allow(error: HTTPException) -> dict[str, str]:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return {"allow": headers["allow"]} if "allow" in headers else {}


def _validation_error(error: ValidationException) -> DomainError:
    errors = [
        FieldError(field=str(item.get("key") or "body"), message=str(item.get("message", "")))
        for item in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(item, dict)
    ]
    if not errors:
        errors = [FieldError(field="body", message=str(error.detail))]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
    return DomainError(Code.VALIDATION_ERROR, detail, errors=errors)
