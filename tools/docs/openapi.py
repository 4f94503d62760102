"""The server's own OpenAPI document and operations, without a server."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx2

from aitbc_server.app import create_app
from aitbc_server.gate.asgi import GateMiddleware
from aitbc_server.gate.operations import Route
from aitbc_server.settings import Settings


@cache
def load() -> tuple[dict[str, Any], tuple[Route, ...]]:
    """The document as a client would fetch it, and every route with its operation."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder)))
        assert isinstance(app, GateMiddleware)
        return asyncio.run(_fetch(app)), app._operations.routes  # noqa: SLF001 - the gate's own table is the authority


async def _fetch(app: Any) -> dict[str, Any]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/openapi.json")
        return cast("dict[str, Any]", answer.raise_for_status().json())
