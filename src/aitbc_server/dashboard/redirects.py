"""Where a browser may be sent on to: a path of this site, and never anywhere else (ASVS 3.7.2)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Response

_MAX_LENGTH = 2000
# One slash and no second one (nor a backslash, which browsers read as one): "//evil.example" names another host.
_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


class SeeOther(Exception):  # noqa: N818 - it is an answer, and no error
    """Raised in place of an answer: the browser is sent on, by GET."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def same_site_path(text: str | None, default: str = "/") -> str:
    """``text`` where it is a path of this site, else ``default``."""
    if text is None or len(text) > _MAX_LENGTH or _PATH.fullmatch(text) is None:
        return default
    return text


def path_of(url: str, host: str) -> str | None:
    """The path of a URL of this host, as in a Referer header; None for another host's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.path if parts.netloc.lower() == host.lower() and parts.path else None


def with_next(path: str, following: str) -> str:
    """``path`` with where to go on to after it."""
    return f"{path}?next={quote(following, safe='/')}"


def see_other(_request: Any, error: SeeOther) -> Response[bytes]:
    """Answer ``SeeOther``."""
    return Response(b"", status_code=303, media_type="text/plain", headers={"location": error.path})
