"""A browser's request to a page of accounts, with all that such a page works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.di import NamedDependency, Provide

from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.flash import Tone
from aitbc_server.dashboard.forms import Form, query_of
from aitbc_server.dashboard.pages import AnyRequest, Pages, for_page, signed_in_of
from aitbc_server.dashboard.setup import form_of, person_of
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.operations import Operation
from aitbc_server.users import browser
from aitbc_server.users.accounts import Accounts
from aitbc_server.users.events import Origin
from aitbc_server.users.parts import Entry
from aitbc_server.users.sessions import SignedIn

Answer = Response[bytes] | Response[str]


class Visit:
    """The request, who sent it, and the ways to answer it."""

    def __init__(self, request: AnyRequest, accounts: Accounts, pages: Pages, cookies: Cookies) -> None:
        self.request = request
        self.accounts = accounts
        self._pages = pages
        self._cookies = cookies

    @property
    def form(self) -> Form:
        """What was filled in, on a page of ours."""
        return form_of(self.request)

    @property
    def query(self) -> Form:
        """What the address asks for."""
        return query_of(self.request)

    @property
    def origin(self) -> Origin:
        """Where the request comes from."""
        return browser.origin_of(self.request, self._cookies)

    @property
    def stranger(self) -> bool:
        """Whether nobody is signed in."""
        return signed_in_of(self.request) is None

    @property
    def signed_in(self) -> SignedIn:
        """Who is signed in, on a page for people."""
        return person_of(self.request)

    def show(self, template: str, errors: Mapping[str, str] | None = None, **context: Any) -> Response[str]:
        """A page; with what is wrong about the form where there is something."""
        status = 422 if errors else 200
        return self._pages.render(self.request, template, status_code=status, errors=errors or {}, **context)

    def dead_link(self, error: DomainError) -> Response[str]:
        """The page for a link that does not work. Raises the error itself where it says something else."""
        if error.code is not Code.NOT_FOUND:
            raise error
        return self._pages.render(self.request, "users/dead_link.html", status_code=404, detail=error.detail)

    def go_to(self, path: str, flash: str | None = None, tone: Tone = "success") -> Response[bytes]:
        """On to another page, which says ``flash``."""
        return self._pages.redirect(path, flash, tone)

    def let_in(self, entry: Entry, path: str, flash: str | None = None) -> Response[bytes]:
        """The same, signed in."""
        return browser.let_in(self.go_to(path, flash), self._cookies, entry)

    def keep_session(self, token: str, path: str, flash: str | None = None) -> Response[bytes]:
        """The same, with the session's new token."""
        return browser.keep_session(self.go_to(path, flash), self._cookies, token)

    def let_out(self, flash: str) -> Response[bytes]:
        """To the sign-in, signed out."""
        response = self.go_to("/sign-in", flash)
        self._cookies.clear(response, self._cookies.session)
        return response


Visiting = NamedDependency[Visit]


def for_visit(operation: Operation) -> dict[str, Any]:
    """As ``for_page``, for a handler that takes a ``visit``."""
    return {**for_page(operation), "dependencies": {"visit": Provide(_visit, sync_to_thread=False)}}


def _visit(
    request: AnyRequest,
    accounts: NamedDependency[Accounts],
    pages: NamedDependency[Pages],
    cookie_jar: NamedDependency[Cookies],
) -> Visit:
    return Visit(request, accounts, pages, cookie_jar)
