"""Who may see a page, and send its forms: one guard in front of every page (ASVS 8.2.1, 8.3.1).

It decides by the operation that the page declares, as the gate does for API keys. A handler that runs has a session
that is alive, a role that is enough and a form of ours; what it does to single objects is its service's matter.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from aitbc_server.clock import Clock, now
from aitbc_server.dashboard import csrf
from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.csrf import Csrf, comes_from_here
from aitbc_server.dashboard.forms import read_form
from aitbc_server.dashboard.navigation import scopes_of
from aitbc_server.dashboard.pages import FORM, SIGNED_IN, AnyRequest
from aitbc_server.dashboard.redirects import SeeOther, path_of, with_next
from aitbc_server.dashboard.static import STATIC
from aitbc_server.errors import Code, DomainError, not_found
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.settings import Settings
from aitbc_server.users.sessions import Sessions, SignedIn
from aitbc_server.web.routing import operation_of

#: In a handler's ``opt``: what asks is a page that brings itself up to date. Nobody may be sitting there, so that it
#: must not keep a session alive (ASVS 7.3.1).
WATCHING = "watching"

#: In a handler's ``opt``: its form takes something along, and changes nothing that a suspension holds still.
TAKES_ALONG = "takes_along"

#: How long ago the password may have been given where a page asks for it (ASVS 7.5.1).
RECENT = timedelta(minutes=15)
#: A form that was opened in time may be filled in without haste: what was typed is not lost to the clock.
_FILLING_IN = timedelta(minutes=15)

# Over plain HTTP a browser takes no cookie that is for HTTPS, unless the server is on the same machine.
_NO_COOKIE = (
    "Your browser sent no cookie with the form, so nothing was changed. Allow cookies for this site, and reach it by "
    "HTTPS. Then reload the page, and send it again."
)

# What stands in a path as it is (RFC 3986, 3.3), beside letters and digits.
_AS_THEY_ARE = "/-._~!$&'()*+,;=:@"

_SAFE = frozenset({"GET", "HEAD"})


class Access:
    """The guard. It leaves what it found out in the request's scope."""

    def __init__(self, sessions: Sessions, cookies: Cookies, csrf: Csrf, settings: Settings, clock: Clock) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._csrf = csrf
        self._settings = settings
        self._clock = clock

    async def check(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Return where the page may be shown. Raises SeeOther and DomainError."""
        operation = operation_of(handler)
        if operation is None or not operation.page or operation is STATIC:
            return
        assert isinstance(connection, Request)
        request: AnyRequest = connection
        if self._settings.dev:
            _only_at_localhost(request)
        signed_in = await self._resume(request, seen=not handler.opt.get(WATCHING))
        request.scope[SIGNED_IN] = signed_in  # type: ignore[literal-required]
        if "\0" in request.scope["path"]:
            # Nothing is called so, and PostgreSQL would not even look.
            raise not_found()
        if signed_in is None and operation.audience is not Audience.EVERYONE:
            raise SeeOther(with_next("/sign-in", _way_back(request)))
        if request.method not in _SAFE:
            await self._check_form(request, signed_in)
        if signed_in is not None and operation.audience is not Audience.EVERYONE:
            self._check_person(request, operation, signed_in, changes=not handler.opt.get(TAKES_ALONG))

    async def _resume(self, request: AnyRequest, *, seen: bool) -> SignedIn | None:
        token = self._cookies.read(request.cookies, self._cookies.session)
        return None if token is None else await self._sessions.resume(token, seen=seen)

    async def _check_form(self, request: AnyRequest, signed_in: SignedIn | None) -> None:
        """The form was filled in on a page of ours, by the one who is signed in (ASVS 3.5.1, 3.5.3)."""
        if not comes_from_here(request.headers, self._settings.public_url):
            raise _foreign_form("a form was sent from another site, or by no browser")
        form = await read_form(request)
        visitor = self._cookies.read(request.cookies, self._cookies.visitor)
        binding = visitor if signed_in is None else signed_in.session_id
        if binding is None:
            raise DomainError(Code.BAD_REQUEST, _NO_COOKIE, log="a form came without a cookie")
        if not self._csrf.is_right(form.text(csrf.FIELD), binding):
            raise _foreign_form("a form had no token, or another session's")
        request.scope[FORM] = form  # type: ignore[literal-required]

    def _check_person(self, request: AnyRequest, operation: Operation, signed_in: SignedIn, *, changes: bool) -> None:
        if operation.operator and not signed_in.is_operator:
            # Who is no operator does not learn what operators have.
            raise not_found()
        if operation.scope is not None and operation.scope not in scopes_of(signed_in):
            raise _role_is_not_enough(signed_in)
        if operation.scope is not None and request.method not in _SAFE and changes:
            _check_not_suspended(signed_in)
        if operation.recent:
            allowed = RECENT if request.method in _SAFE else RECENT + _FILLING_IN
            if now(self._clock) - signed_in.authenticated_at >= allowed:
                raise SeeOther(with_next("/confirm", _way_back(request)))


def _only_at_localhost(request: AnyRequest) -> None:
    """On a development server pages live under one name, so that there is one set of cookies (design section 10)."""
    name, colon, port = request.headers.get("host", "").rpartition(":")
    if name in {"127.0.0.1", "[::1]"} or port == "127.0.0.1":
        raise SeeOther(f"http://localhost{colon}{port if colon else ''}{_here(request)}")


def _way_back(request: AnyRequest) -> str:
    """Where to go on after a sign-in: to this page, or to the one that held the form."""
    if request.method in _SAFE:
        return _here(request)
    return path_of(request.headers.get("referer", ""), request.headers.get("host", "")) or "/"


def _here(request: AnyRequest) -> str:
    query = request.scope["query_string"].decode("latin-1")
    # The server hands it over decoded; an address, and a header, hold nothing but ASCII.
    path = quote(request.scope["path"], safe=_AS_THEY_ARE)
    return f"{path}?{query}" if query else path


def _check_not_suspended(signed_in: SignedIn) -> None:
    for membership in signed_in.memberships:
        if membership.tenant_id == signed_in.tenant_id and membership.suspended:
            raise DomainError(
                Code.TENANT_SUSPENDED, "Nothing can be changed while it is suspended. Ask who runs this installation."
            )


def _role_is_not_enough(signed_in: SignedIn) -> DomainError:
    if signed_in.role is None:
        return DomainError(Code.INSUFFICIENT_SCOPE, "You are in no tenant yet. Ask to be invited to one.")
    return DomainError(
        Code.INSUFFICIENT_SCOPE,
        f"Your role here is {signed_in.role}, which does not allow this. Ask an owner or an admin of the tenant.",
    )


def _foreign_form(log: str) -> DomainError:
    return DomainError(
        Code.BAD_REQUEST,
        "The form is out of date, or came from another site. Nothing was changed. Go back, reload the page and send "
        "it again.",
        log=log,
    )
