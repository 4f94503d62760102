"""Both clients, driven by the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal

import pytest
from tests.sdk.scripted import ScriptedServer, scripted_server

from aitbc import AITBCClient, AsyncAITBCClient

KEY = "aitbc_test_0123456789ab_" + "S" * 43 + "checks"


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.slept_s.append(seconds)
        self.now_s += seconds

    async def async_sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass, awaited."""
        self.sleep(seconds)

    def clock(self) -> float:
        """Now, in seconds."""
        return self.now_s


class Sdk:
    """One of the two clients against ``server``: a test says once what to do, and both do it."""

    def __init__(self, kind: Literal["sync", "async"], server: ScriptedServer) -> None:
        self.kind = kind
        self.server = server
        self.time = FakeTime()
        self.random = 0.0

    def __call__(self, use: Callable[[Any], Any], **arguments: Any) -> Any:
        """The result of ``use(client)``, awaited or read to its end where that is needed."""
        arguments = {"api_key": KEY, "base_url": self.server.url, **arguments}
        return self._sync(use, arguments) if self.kind == "sync" else asyncio.run(self._async(use, arguments))

    def _sync(self, use: Callable[[Any], Any], arguments: dict[str, Any]) -> Any:
        with AITBCClient(**arguments) as client:
            self._fake(client, self.time.sleep)
            result = use(client)
            return list(result) if isinstance(result, Iterator) else result

    async def _async(self, use: Callable[[Any], Any], arguments: dict[str, Any]) -> Any:
        async with AsyncAITBCClient(**arguments) as client:
            self._fake(client, self.time.async_sleep)
            result = use(client)
            if isinstance(result, Coroutine):
                return await result
            return [item async for item in result] if hasattr(result, "__aiter__") else result

    def _fake(self, client: Any, sleep: Callable[[float], Any]) -> None:
        client._shell.sleep = sleep
        client._shell.clock = self.time.clock
        # Frozen on purpose, so a test has to say that it means it.
        object.__setattr__(client._shell.exchange, "random", lambda: self.random)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A fresh scripted server."""
    with scripted_server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def sdk(request: pytest.FixtureRequest, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Sdk:
    """Each of the two clients in turn, knowing nothing of the environment of whoever runs the tests."""
    for variable in ("AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID"):
        monkeypatch.delenv(variable, raising=False)
    return Sdk(request.param, server)
