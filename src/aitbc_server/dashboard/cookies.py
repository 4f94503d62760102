"""The dashboard's cookies: for this host alone, out of reach of scripts, and never sent along by other sites' forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.datastructures import Cookie


class Cookies:
    """Names and attributes of the four cookies (ASVS 3.3.1 to 3.3.4).

    ``secure``: with the prefix ``__Host-``, by which browsers take a cookie over HTTPS only and from this very host.
    A development server on loopback HTTP does without. ``Lax`` lets people come in by a link, signed in; requests
    that change something from elsewhere are sent without the cookie.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        prefix = "__Host-aitbc-" if secure else "aitbc-"
        #: The session's token.
        self.session = f"{prefix}session"
        #: A random text that the forms of who is not signed in are bound to.
        self.visitor = f"{prefix}visitor"
        #: By which a browser is known that its owner has signed in with before.
        self.browser = f"{prefix}browser"
        #: What the next page shall say.
        self.flash = f"{prefix}flash"

    def set(self, response: Response[Any], name: str, value: str, *, max_age_s: int | None = None) -> None:
        """Give the browser a cookie; without ``max_age_s`` until it is closed."""
        response.set_cookie(
            Cookie(
                key=name,
                value=value,
                max_age=max_age_s,
                path="/",
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )
        )

    def clear(self, response: Response[Any], name: str) -> None:
        """Take a cookie back."""
        self.set(response, name, "", max_age_s=0)

    @staticmethod
    def read(cookies: Mapping[str, str], name: str) -> str | None:
        """What the browser sent under a name; None for nothing, and for nothing in it."""
        return cookies.get(name) or None
