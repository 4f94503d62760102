"""The app's start and stop, run by us: what goes wrong in them is raised, not swallowed."""

from __future__ import annotations

from typing import Any

import pytest

from aitbc_server.gate.asgi import Receive, Scope, Send
from aitbc_server.serving.lifespan import Lifespan


class App:
    """An ASGI app that follows the lifespan protocol up to a point."""

    def __init__(self, breaks_at: str = "") -> None:
        self.breaks_at = breaks_at
        self.seen: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer startup and shutdown, unless told to break."""
        for event in ("startup", "shutdown"):
            message = await receive()
            self.seen.append(message["type"])
            if self.breaks_at == event:
                await send({"type": f"lifespan.{event}.failed", "message": "why"})
                raise OSError("disk full")
            if self.breaks_at == f"silent {event}":
                return
            await send({"type": f"lifespan.{event}.complete"})


async def test_start_and_stop() -> None:
    """Both are awaited until the app says that they are complete."""
    app = App()
    lifespan = Lifespan(app)
    await lifespan.start()
    await lifespan.stop()
    assert app.seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_the_reason_of_a_failure_comes_out() -> None:
    """The person at the terminal reads what the app raised."""
    with pytest.raises(OSError, match="disk full"):
        await Lifespan(App("startup")).start()
    lifespan = Lifespan(App("shutdown"))
    await lifespan.start()
    with pytest.raises(OSError, match="disk full"):
        await lifespan.stop()


async def test_an_app_that_leaves_without_a_word_is_an_error() -> None:
    """A start that never said that it is complete is none."""
    with pytest.raises(RuntimeError, match=r"did not answer lifespan\.startup"):
        await Lifespan(App("silent startup")).start()
