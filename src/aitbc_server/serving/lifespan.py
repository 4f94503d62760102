"""The ASGI lifespan of the app, run by us so that it begins before the first connection and ends after the last."""

from __future__ import annotations

import asyncio
from typing import Any

from aitbc_server.gate.asgi import App


class Lifespan:
    """Starts an app and stops it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Everything that the app needs runs when this returns. Raises what its start raised."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.create_task(self._run(scope), name="lifespan")
        await self._pass("startup")

    async def stop(self) -> None:
        """Everything is stored and closed when this returns. Raises what the stop raised."""
        await self._pass("shutdown")
        assert self._task is not None
        await self._task

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._to_app.get, self._from_app.put)

    async def _pass(self, event: str) -> None:
        assert self._task is not None
        await self._to_app.put({"type": f"lifespan.{event}"})
        answer = asyncio.create_task(self._from_app.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done() and answer.result()["type"] == f"lifespan.{event}.complete":
            return
        answer.cancel()
        await self._task
        raise RuntimeError(f"the app did not answer lifespan.{event}")
