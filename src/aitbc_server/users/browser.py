"""Between the browser and the services of accounts: where a request comes from, and the cookies of who signs in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Request, Response

from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.gate.context import CONTEXT
from aitbc_server.users.browsers import LIFETIME
from aitbc_server.users.events import Origin
from aitbc_server.users.parts import Entry
from aitbc_server.users.sessions import ABSOLUTE_TIMEOUT

AnyRequest = Request[Any, Any, Any]


def origin_of(request: AnyRequest, cookies: Cookies) -> Origin:
    """Where the request comes from, as the gate has seen it."""
    context = request.scope.get(CONTEXT)
    return Origin(
        client_ip=getattr(context, "client_ip", None),
        user_agent=request.headers.get("user-agent"),
        request_id=getattr(context, "request_id", None),
        browser=cookies.read(request.cookies, cookies.browser),
        session=cookies.read(request.cookies, cookies.session),
    )


def let_in(response: Response[bytes], cookies: Cookies, entry: Entry) -> Response[bytes]:
    """The response, which signs the browser in."""
    keep_session(response, cookies, entry.token)
    cookies.set(response, cookies.browser, entry.browser, max_age_s=_seconds(LIFETIME))
    return response


def keep_session(response: Response[bytes], cookies: Cookies, token: str) -> Response[bytes]:
    """The response, with the session's new token. The server ends the session earlier where it is not used."""
    cookies.set(response, cookies.session, token, max_age_s=_seconds(ABSOLUTE_TIMEOUT))
    return response


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)
