"""The page for who follows a link that leads nowhere: answered by the gate, in front of the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aitbc_server.dashboard.pages import Pages
from aitbc_server.dashboard.security_headers import PAGE_HEADERS
from aitbc_server.gate.answers import Answer
from aitbc_server.gate.context import Context
from aitbc_server.gate.headers import Headers

_HTML = (b"content-type", b"text/html; charset=utf-8")


class NotFoundPage:
    """The same page for every path that no route takes."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._headers = [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]

    def __call__(
        self,
        context: Context,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    ) -> Answer:
        """The status, headers and body."""
        headers: Headers = [_HTML, *self._headers]
        return 404, headers, self._pages.nothing_here(context.request_id).encode()
