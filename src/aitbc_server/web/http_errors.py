"""The edge where errors become answers: every exception of the framework's routes, in the one error shape."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import ParameterKwarg

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError, no_such_path
from aitbc_server.gate import answers
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.problem import MEDIA_TYPE
from aitbc_server.validation import BODY, field_error

logger = logging.getLogger(__name__)

#: Where a request's scope has the services of its server, by name.
SERVICES = "aitbc.services"
#: Under these names they hold its ``RefusalLog``, and what makes a page of an error for a browser.
REFUSALS = "refusals"
ERROR_PAGE = "error_page"

AnyRequest = Request[Any, Any, Any]

_BAD_REQUEST = "The request could not be read."
_MISSING = re.compile(r"Missing required \w+ parameter '(.+)' for")


def domain_error(request: AnyRequest, error: DomainError) -> Response[bytes] | Response[str]:
    """Answer a domain error: with a problem, or with a page where a page was asked for."""
    _note_refusal(request, error.code)
    if error.log is not None:
        logger.warning("%s", error.log, extra={"request_id": _request_id(request)})
    context = request.scope.get(CONTEXT)
    if isinstance(context, Context) and context.operation.page:
        page: Response[str] = services_of(request)[ERROR_PAGE](request, error)
        return page
    status, headers, body = answers.problem(error, _request_id(request))
    return Response(
        body,
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={name.decode(): value.decode() for name, value in headers if name != b"content-type"},
    )


def http_error(request: AnyRequest, error: HTTPException) -> Response[bytes] | Response[str]:
    """Answer what the framework itself refuses: unknown paths and methods, bodies that it cannot read."""
    if isinstance(error, ValidationException):
        return domain_error(request, _validation_error(request, error))
    if error.status_code == 405:
        return domain_error(request, answers.method_not_allowed(_allowed(error)))
    if error.status_code == 404:
        return domain_error(request, no_such_path())
    if error.status_code == 400:
        return domain_error(request, DomainError(Code.BAD_REQUEST, _BAD_REQUEST))
    return unexpected_error(request, error)


def unexpected_error(request: AnyRequest, error: Exception) -> Response[bytes] | Response[str]:
    """The last resort (ASVS 16.5.4): the log has it all, the caller learns nothing but the id to quote."""
    logger.error("a request failed", exc_info=error, extra={"request_id": _request_id(request)})
    return domain_error(request, answers.internal_error())


EXCEPTION_HANDLERS: dict[Any, Any] = {
    DomainError: domain_error,
    HTTPException: http_error,
    Exception: unexpected_error,
}


def services_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Mapping[str, Any]:
    """The services of the server that was asked, by name."""
    services: Mapping[str, Any] = connection.scope[SERVICES]  # type: ignore[literal-required]
    return services


def _note_refusal(request: AnyRequest, code: Code) -> None:
    """Some refusals are known only where the object is: whether a key may change this one, whose a tenant is."""
    context = request.scope.get(CONTEXT)
    if isinstance(context, Context):
        services_of(request)[REFUSALS].note(code, context, context.decision)


def _request_id(request: AnyRequest) -> str:
    context = request.scope.get(CONTEXT)
    return getattr(context, "request_id", "")


def _allowed(error: HTTPException) -> set[str]:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return set(headers.get("allow", "").split(", ")) - {"OPTIONS"}


def _validation_error(request: AnyRequest, error: ValidationException) -> DomainError:
    extra = error.extra if isinstance(error.extra, list) else []
    errors = [_parameter_error(request, item) for item in extra if isinstance(item, dict)]
    missing = _MISSING.match(error.detail)
    if missing is not None:
        errors = [FieldError(field=missing[1], message="is required")]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors) or _BAD_REQUEST
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
