"""Files that a page lets people take along. A browser saves them, and never shows them as pages of this site."""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar import Response
from litestar.response import Stream

from aitbc_server.dashboard.security_headers import PAGE_HEADERS


def download(content: bytes, name: str, media_type: str) -> Response[bytes]:
    """A file that is there as a whole. ``name`` has only letters, digits, hyphens, underscores and dots."""
    return Response(content, media_type=media_type, headers=_headers(name))


def streamed(content: AsyncIterator[bytes], name: str, media_type: str) -> Stream:
    """A file that is sent while it is made."""
    return Stream(content, media_type=media_type, headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    return {**PAGE_HEADERS, "content-disposition": f'attachment; filename="{name}"'}
