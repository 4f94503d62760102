"""What the dashboard is made of, put together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from litestar import Request

from aitbc_server.clock import Clock
from aitbc_server.dashboard.access import Access
from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.csrf import Csrf
from aitbc_server.dashboard.flash import Flashes
from aitbc_server.dashboard.forms import Form
from aitbc_server.dashboard.navigation import Navigation
from aitbc_server.dashboard.pages import FORM, Pages, signed_in_of
from aitbc_server.dashboard.static import StaticFiles
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.settings import Settings
from aitbc_server.users.sessions import Sessions, SignedIn


class Dashboard:
    """Everything that pages share. ``paths`` are those of all routes, so that nothing leads to a page that is not."""

    def __init__(
        self, settings: Settings, secret_keys: SecretKeys, sessions: Sessions, paths: Collection[str], clock: Clock
    ) -> None:
        # A development server speaks HTTP on loopback only, where browsers would not send the cookies back.
        cookies = Cookies(secure=not settings.dev)
        csrf = Csrf(secret_keys)
        static_files = StaticFiles()
        navigation = Navigation(paths)
        self.access = Access(sessions, cookies, csrf, settings, clock)
        self.pages = Pages(
            cookies=cookies,
            csrf=csrf,
            flashes=Flashes(secret_keys),
            static_files=static_files,
            navigation=navigation,
            clock=clock,
            site_url=settings.site_url,
        )
        #: What handlers of pages get by name.
        self.services: dict[str, Any] = {
            "pages": self.pages,
            "cookie_jar": cookies,
            "navigation": navigation,
            "static_files": static_files,
            "sessions": sessions,
        }


def form_of(request: Request[Any, Any, Any]) -> Form:
    """The form that the guard has read and checked."""
    form: Form = request.scope[FORM]  # type: ignore[literal-required]
    return form


def person_of(request: Request[Any, Any, Any]) -> SignedIn:
    """Who is signed in, on a page for people."""
    signed_in = signed_in_of(request)
    assert signed_in is not None
    return signed_in
