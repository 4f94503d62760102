"""The stylesheets, scripts and pictures of the pages: kept in memory, under names that change with what is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc_server.errors import not_found
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.web.routing import for_operation

FOLDER = Path(__file__).with_name("static")
STATIC = Operation("static", audience=Audience.EVERYONE)

# The framework says the charset of texts by itself.
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml; charset=utf-8"}
# A name is never given to anything else, so a browser need not ask again.
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "cross-origin-resource-policy": "same-origin",
}


class StaticFile(NamedTuple):
    """One file, ready to be sent."""

    media_type: str
    content: bytes


class StaticFiles:
    """Every file of the folder ``static``, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, StaticFile] = {}
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
            self._urls[path.name] = f"/static/{name}"
            self._files[name] = StaticFile(_TYPES[path.suffix], content)

    def url(self, name: str) -> str:
        """Where a file of the folder is served. Raises KeyError where there is none."""
        return self._urls[name]

    def find(self, name: str) -> StaticFile:
        """The file that is served under a name. Raises ``not_found``."""
        file = self._files.get(name)
        if file is None:
            raise not_found()
        return file


@get("/static/{name:str}", **for_operation(STATIC), sync_to_thread=False)
def static_file(name: FromPath[str], static_files: NamedDependency[StaticFiles]) -> Response[bytes]:
    """A stylesheet, script or picture."""
    file = static_files.find(name)
    return Response(file.content, media_type=file.media_type, headers=_HEADERS)


ROUTES = [static_file]
