"""The two clients: one constructor, the same resources, a blocking and an awaiting shell."""

from __future__ import annotations

import os
import random
import time
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from aitbc._config import resolve
from aitbc._exchange import Exchange
from aitbc._methods import Async, M, Sync
from aitbc._transport import AsyncShell, Shell, SyncShell
from aitbc.resources.api_keys import ApiKeys
from aitbc.resources.audit import AuditLog
from aitbc.resources.jobs import Jobs
from aitbc.resources.miners import Miners
from aitbc.resources.usage import UsageCounts

if TYPE_CHECKING:
    import httpx2

H = TypeVar("H")


class _Client(Generic[M, H]):
    """What both clients share. ``H`` is the HTTP client of httpx2 that they send with."""

    jobs: Jobs[M]
    miners: Miners[M]
    api_keys: ApiKeys[M]
    usage: UsageCounts[M]
    audit: AuditLog[M]

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        tenant_id: str | None = None,
        timeout: float | None = 10.0,
        max_retries: int = 2,
        http_client: H | None = None,
    ) -> None:
        self._config = resolve(
            api_key=api_key,
            base_url=base_url,
            tenant_id=tenant_id,
            timeout=timeout,
            max_retries=max_retries,
            environ=os.environ,
        )
        exchange = Exchange(self._config, random=random.random, new_id=lambda: uuid.uuid4().hex)
        self._owns_http = http_client is None
        self._shell = self._open_shell(exchange, http_client)
        self.jobs = Jobs(self._shell)
        self.miners = Miners(self._shell)
        self.api_keys = ApiKeys(self._shell)
        self.usage = UsageCounts(self._shell)
        self.audit = AuditLog(self._shell)

    def _open_shell(self, exchange: Exchange, http_client: H | None) -> Shell:
        raise NotImplementedError

    def __repr__(self) -> str:
        # The key stays out: a repr ends up in logs and tracebacks.
        config = self._config
        return f"{type(self).__name__}(base_url={config.base_url!r}, tenant_id={config.tenant_id!r})"


class AITBCClient(_Client[Sync, "httpx2.Client"]):
    """A client of the AITBC API whose methods block until the answer is there.

        with AITBCClient() as client:
            job = client.jobs.create({"name": "hello", "type": "text-statistics", "text": "to be"})
            client.jobs.wait_for_completion(job.job_id)
            print(client.jobs.result(job.job_id).result)

    ``api_key``, ``base_url`` and ``tenant_id`` come from ``AITBC_API_KEY``, ``AITBC_BASE_URL`` (default
    http://127.0.0.1:8000) and ``AITBC_TENANT_ID`` where they are not passed. ``timeout`` is in seconds, for
    each of connecting, sending and waiting for the answer; None waits for ever. A call that fails for want of
    a connection, or with 429, 502, 503 or 504, is sent again up to ``max_retries`` times where that does no
    harm, after as long as the server asks (60 s at most). ``http_client`` is an ``httpx2.Client`` of
    your own, for a proxy or a private certificate authority; you close it. Redirects are never followed.
    May be shared between threads.

    Raises AuthenticationError where there is no API key, AITBCError for a base URL that is none.
    """

    def _open_shell(self, exchange: Exchange, http_client: httpx2.Client | None) -> SyncShell:
        import httpx2

        if not isinstance(http_client, httpx2.Client | None):
            raise TypeError(f"http_client must be an httpx2.Client, not {type(http_client).__name__}")
        self._http = http_client or httpx2.Client()
        return SyncShell(exchange, self._http, sleep=time.sleep, clock=time.monotonic)

    def close(self) -> None:
        """Close the connections. An ``http_client`` that was passed in stays open."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAITBCClient(_Client[Async, "httpx2.AsyncClient"]):
    """A client of the AITBC API whose methods are awaited; lists are read with ``async for``.

        async with AsyncAITBCClient() as client:
            job = await client.jobs.create({"name": "hello", "type": "text-statistics", "text": "to be"})
            await client.jobs.wait_for_completion(job.job_id)
            print((await client.jobs.result(job.job_id)).result)

    The arguments, their defaults and the errors are those of ``AITBCClient``; ``http_client`` is an
    ``httpx2.AsyncClient``. Belongs to the event loop that it was first used in.
    """

    def _open_shell(self, exchange: Exchange, http_client: httpx2.AsyncClient | None) -> AsyncShell:
        import asyncio

        import httpx2

        if not isinstance(http_client, httpx2.AsyncClient | None):
            raise TypeError(f"http_client must be an httpx2.AsyncClient, not {type(http_client).__name__}")
        self._http = http_client or httpx2.AsyncClient()
        return AsyncShell(exchange, self._http, sleep=asyncio.sleep, clock=time.monotonic)

    async def aclose(self) -> None:
        """Close the connections. An ``http_client`` that was passed in stays open."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
