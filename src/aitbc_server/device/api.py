"""The two endpoints of the device: forms in, JSON out, errors as OAuth has them."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException

from aitbc.schemas.device import (
    DeviceAuthorization,
    DeviceAuthorizationForm,
    DeviceToken,
    DeviceTokenForm,
    OAuthProblem,
)
from aitbc_server.device import form
from aitbc_server.device.errors import OAuthCode, OAuthError
from aitbc_server.device.service import KEY_LIFETIME, DeviceSignIns
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.problem import STATUS
from aitbc_server.web import http_errors
from aitbc_server.web.routing import ErrorShape, for_operation

AUTHORIZE = Operation("device.authorize", audience=Audience.EVERYONE, api=True)
TOKEN = Operation("device.token", audience=Audience.EVERYONE, api=True)

AnyRequest = Request[Any, Any, Any]
Service = NamedDependency[DeviceSignIns]

_ERRORS = ErrorShape(
    "application/json",
    OAuthProblem,
    {
        400: "No key (yet): `error` says why.",
        413: "The body is too large (`invalid_request`).",
        429: "Too many requests from one address (`slow_down`).",
        500: "A failure of the server (`server_error`).",
        503: "The server cannot answer at the moment (`temporarily_unavailable`).",
    },
)
_BY_CODE = {
    Code.UNAVAILABLE: OAuthCode.TEMPORARILY_UNAVAILABLE,
    Code.INTERNAL_ERROR: OAuthCode.SERVER_ERROR,
}


def _answer(error: OAuthError, headers: dict[str, str] | None = None) -> Response[OAuthProblem]:
    headers = dict(headers or {})
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return Response(
        OAuthProblem(error=error.code, error_description=error.description),
        status_code=error.status,
        media_type="application/json",
        headers=headers,
    )


def _oauth_error(_request: AnyRequest, error: OAuthError) -> Response[OAuthProblem]:
    return _answer(error)


def _as_oauth(respond: Any) -> Any:
    """The same failure as everywhere else, logged as everywhere else, in this endpoint's shape."""

    def handler(request: AnyRequest, error: Exception) -> Response[OAuthProblem]:
        problem = respond(request, error)
        told = msgspec.json.decode(problem.content)
        code = _BY_CODE.get(told["code"], OAuthCode.INVALID_REQUEST)
        headers = {name: value for name, value in problem.headers.items() if name != "content-type"}
        return _answer(OAuthError(code, told["detail"], status=STATUS[Code(told["code"])]), headers)

    return handler


_HANDLERS: dict[Any, Any] = {
    OAuthError: _oauth_error,
    DomainError: _as_oauth(http_errors.domain_error),
    HTTPException: _as_oauth(http_errors.http_error),
    Exception: _as_oauth(http_errors.unexpected_error),
}


@post(
    "/oauth/device_authorization",
    **for_operation(AUTHORIZE, form=DeviceAuthorizationForm, error_shape=_ERRORS),
    status_code=200,
    exception_handlers=_HANDLERS,
)
async def authorize_device(request: AnyRequest, device_sign_ins: Service) -> DeviceAuthorization:
    """Begin to sign in from a command line (RFC 8628, section 3.1).

    Both codes are good for ten minutes.
    """
    context = _context(request)
    begun = await device_sign_ins.begin(form.wanted(await _form(request)), context.client_ip)
    return DeviceAuthorization(
        device_code=begun.device_code,
        user_code=begun.user_code,
        verification_uri=begun.page,
        verification_uri_complete=f"{begun.page}?code={begun.user_code}",
        expires_in=begun.expires_in,
        interval=begun.interval,
    )


@post(
    "/oauth/token",
    **for_operation(TOKEN, form=DeviceTokenForm, error_shape=_ERRORS),
    status_code=200,
    exception_handlers=_HANDLERS,
)
async def collect_key(request: AnyRequest, device_sign_ins: Service) -> DeviceToken:
    """Ask whether a person has approved, and collect the key (RFC 8628, section 3.4).

    The key is made now, and answered this once. Ask every `interval` seconds; on `slow_down`, 5 seconds more.
    """
    context = _context(request)
    code = form.device_code(await _form(request))
    made = await device_sign_ins.collect(code, client_ip=context.client_ip, request_id=context.request_id)
    return DeviceToken(
        access_token=made.text,
        token_type="Bearer",  # noqa: S106 - the kind of token, not one
        expires_in=int(KEY_LIFETIME.total_seconds()),
        scope=" ".join(made.key.scopes),
        api_key=made.key,
    )


async def _form(request: AnyRequest) -> form.Form:
    return form.parse(request.content_type[0], await request.body())


def _context(request: AnyRequest) -> Context:
    context = request.scope[CONTEXT]  # type: ignore[literal-required]
    assert isinstance(context, Context)
    return context


ROUTES = [authorize_device, collect_key]
