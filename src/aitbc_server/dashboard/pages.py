"""Whole pages: a template and what every page has: who is signed in, the navigation, the form token, a word to say."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from markupsafe import Markup

from aitbc.schemas.scopes import Scope
from aitbc_server import field_words
from aitbc_server.clock import Clock, Timestamp, now
from aitbc_server.dashboard import csrf, formats, navigation
from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.csrf import Csrf
from aitbc_server.dashboard.flash import MAX_AGE_S, Flash, Flashes, Tone
from aitbc_server.dashboard.navigation import Item, Navigation, scopes_of
from aitbc_server.dashboard.redirects import SeeOther, see_other
from aitbc_server.dashboard.security_headers import PAGE_HEADERS
from aitbc_server.dashboard.static import StaticFiles
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.context import CONTEXT
from aitbc_server.gate.operations import Operation
from aitbc_server.problem import STATUS
from aitbc_server.users.sessions import SignedIn
from aitbc_server.web.routing import for_operation

TEMPLATES = Path(__file__).with_name("templates")

#: Where the guard puts what it found out about a request, in its ASGI scope.
SIGNED_IN = "aitbc.signed_in"
FORM = "aitbc.form"

AnyRequest = Request[Any, Any, Any]
Page = Response[str]

_HIDDEN = Markup('<input type="hidden" name="{name}" value="{value}">')
_TITLES = {
    Code.BAD_REQUEST: "That did not work",
    Code.INSUFFICIENT_SCOPE: "You may not do this",
    Code.TENANT_SUSPENDED: "This tenant is suspended",
    Code.NOT_FOUND: "Page not found",
    Code.CONFLICT: "That is not possible now",
    Code.TOO_MANY_FAILURES: "Too many tries",
    Code.RATE_LIMIT_EXCEEDED: "Too many tries",
    Code.VALIDATION_ERROR: "That did not work",
    Code.INTERNAL_ERROR: "Something went wrong",
    Code.UNAVAILABLE: "Not available at the moment",
}
# The API's text speaks of objects.
_BAD_ADDRESS = (
    "The end of this address, after the question mark, does not fit this page: it may be incomplete or out of date."
)
_NOT_FOUND = "There is nothing at this address, or it is not yours to see. Check the address, or start from the top."


def for_page(operation: Operation) -> dict[str, Any]:
    """Keyword arguments of a handler that answers with a page: ``@get("/overview", **for_page(OVERVIEW))``.

    Guards see to the session, the role and the form's token before the handler runs. A POST answers 200 where it
    shows a page itself.
    """
    return {**for_operation(operation), "media_type": MediaType.HTML, "status_code": 200}


class Pages:
    """Renders pages. One for the whole server: templates are compiled once."""

    def __init__(
        self,
        *,
        cookies: Cookies,
        csrf: Csrf,
        flashes: Flashes,
        static_files: StaticFiles,
        navigation: Navigation,
        clock: Clock,
        site_url: str,
    ) -> None:
        self._cookies = cookies
        self._csrf = csrf
        self._flashes = flashes
        self._navigation = navigation
        self._clock = clock
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(formats.FILTERS, label=field_words.label)
        self._environment.globals.update(
            static=static_files.url, has_page=navigation.paths.__contains__, site_url=site_url
        )

    def render(
        self,
        request: AnyRequest,
        template: str,
        *,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> Page:
        """The page of a template. ``context`` is what it shows beside what every page has.

        A page that is shown again because of wrong input is sent with ``status_code=422`` and ``errors``.
        """
        visitor = _Visitor(request.cookies.get(self._cookies.visitor))
        flash = self._flash(request)
        signed_in = signed_in_of(request)
        binding = visitor.binding if signed_in is None else lambda: signed_in.session_id
        common = self._common(signed_in, request.scope["path"], flash, binding)
        text = self._environment.get_template(template).render(
            {**common, "request_id": _request_id(request), **context}
        )
        page = Response(
            text, media_type=MediaType.HTML, status_code=status_code, headers={**PAGE_HEADERS, **(headers or {})}
        )
        if visitor.is_new:
            self._cookies.set(page, self._cookies.visitor, visitor.binding())
        if flash is not None:
            self._cookies.clear(page, self._cookies.flash)
        return page

    def fragment(self, template: str, **context: Any) -> Markup:
        """A part of a page, for the page itself and for whoever sends it again when it changed."""
        return Markup(self._environment.get_template(template).render({"now": self.now(), **context}))  # noqa: S704 - rendered with everything escaped

    def redirect(self, path: str, flash: str | None = None, tone: Tone = "success") -> Response[bytes]:
        """Send the browser on (303), with a word that the next page says."""
        response = see_other(None, SeeOther(path))
        if flash is not None:
            value = self._flashes.seal(Flash(flash, tone))
            self._cookies.set(response, self._cookies.flash, value, max_age_s=MAX_AGE_S)
        return response

    def error(self, request: AnyRequest, error: DomainError, *, to: tuple[str, str] | None = None) -> Page:
        """The page for an error: what is wrong, what to do, and the id to quote where it is our fault.

        ``to``: the address of a page that helps, and what the link to it says.
        """
        headers = {name: value for name, value in error.headers.items() if name != "content-type"}
        words = _words(error.code, error.detail)
        back = self._list_of(request, error)
        if back is not None:
            words["detail"], to = _BAD_ADDRESS, (back.path, f"Back to {back.title}")
        status = STATUS[error.code]
        return self.render(request, "error.html", status_code=status, headers=headers, to=to, **words)

    def _list_of(self, request: AnyRequest, error: DomainError) -> Item | None:
        """The list to go back to from an address whose filters it does not take: the API's words are not a page's."""
        signed_in = signed_in_of(request)
        wrong = error.code in {Code.VALIDATION_ERROR, Code.BAD_REQUEST}
        if not wrong or signed_in is None or request.method != "GET" or not request.scope["query_string"]:
            return None
        items = self._navigation.items(signed_in)
        path = navigation.current(items, request.scope["path"])
        return next((item for item in items if item.path == path), None)

    def nothing_here(self, request_id: str) -> str:
        """The page for a path that nothing takes, whoever asks."""
        common = self._common(None, "", None, str)
        return self._environment.get_template("error.html").render(
            {**common, "request_id": request_id, "to": None, **_words(Code.NOT_FOUND, "")}
        )

    def now(self) -> Timestamp:
        """The time, as pages show it."""
        return now(self._clock)

    def _flash(self, request: AnyRequest) -> Flash | None:
        value = request.cookies.get(self._cookies.flash)
        return None if not value else self._flashes.open(value)

    def _common(
        self, signed_in: SignedIn | None, path: str, flash: Flash | None, binding: Callable[[], str]
    ) -> dict[str, Any]:
        items = [] if signed_in is None else self._navigation.items(signed_in)
        scopes: frozenset[Scope] = frozenset() if signed_in is None else scopes_of(signed_in)
        memberships = () if signed_in is None else signed_in.memberships
        return {
            "signed_in": signed_in,
            "tenant": next((each for each in memberships if signed_in and each.tenant_id == signed_in.tenant_id), None),
            "navigation": items,
            "current": navigation.current(items, path),
            "path": path,
            "flash": flash,
            "may": lambda scope: scope in scopes,
            "now": self.now(),
            "csrf_field": lambda: _HIDDEN.format(name=csrf.FIELD, value=self._csrf.token(binding())),
        }


class _Visitor:
    """The random text that binds the forms of who is not signed in; made when the first form is shown."""

    def __init__(self, value: str | None) -> None:
        self._value = value
        self.is_new = False

    def binding(self) -> str:
        """The text."""
        if not self._value:
            self._value = secrets.token_urlsafe(32)
            self.is_new = True
        return self._value


def signed_in_of(request: AnyRequest) -> SignedIn | None:
    """Who is signed in; also on pages for everyone."""
    return cast("SignedIn | None", request.scope.get(SIGNED_IN))


def _words(code: Code, detail: str) -> dict[str, Any]:
    return {
        "title": _TITLES.get(code, "That did not work"),
        "detail": _NOT_FOUND if code is Code.NOT_FOUND else detail,
        "status": STATUS[code],
        "ours": STATUS[code] >= 500,
        "back": None,
    }


def _request_id(request: AnyRequest) -> str:
    return getattr(request.scope.get(CONTEXT), "request_id", "")
