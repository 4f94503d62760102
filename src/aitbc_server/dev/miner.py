"""The local miner beside a development server: started, started again when it dies, ended with the server."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

logger = logging.getLogger(__name__)

_FINISH_S = 1.5
_END_S = 0.5
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# What is the server's or another key, and none of the miner's business.
_NOT_ITS_OWN = ("CLIENT_API_KEY", "MINER_API_KEY", "MANAGER_API_KEY", "AITBC_SECRET_KEY", "AITBC_TENANT_ID")


@asynccontextmanager
async def local_miner(url: str, key: str) -> AsyncIterator[None]:
    """A miner for the server at ``url``, as a process of its own, until the block is left."""
    miner = _Miner(_environment(os.environ, url, key))
    task = asyncio.create_task(miner.keep_running(), name="local miner")
    try:
        yield
    finally:
        await miner.end()
        await task


class _Miner:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._ending = asyncio.Event()
        self._process: Process | None = None

    async def keep_running(self) -> None:
        """Start it; when it dies, start it again, waiting longer each time that it dies young."""
        wait_s = _FIRST_WAIT_S
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            started_s = loop.time()
            code = await self._run()
            if self._ending.is_set():
                return
            wait_s = _FIRST_WAIT_S if loop.time() - started_s > _LONGEST_WAIT_S else min(2 * wait_s, _LONGEST_WAIT_S)
            logger.warning("the local miner ended (exit code %s) and is started again in %g s", code, wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), wait_s)

    async def end(self) -> None:
        """Let it finish what it has, for a moment; then end it."""
        self._ending.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(b"stop\n")
        if not await _ended(process, _FINISH_S):
            process.stdin.close()
            if not await _ended(process, _END_S):
                with suppress(ProcessLookupError):
                    process.kill()

    async def _run(self) -> int:
        # A session of its own: Ctrl-C in the terminal is for the server, which then ends the miner in order.
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "aitbc_server.dev.miner_process",
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=PIPE,
            env=dict(self._environment),
            start_new_session=True,
        )
        assert process.stderr is not None
        while line := await process.stderr.readline():
            logger.info("miner: %s", line.decode("utf-8", "replace").rstrip())
        return await process.wait()


async def _ended(process: Process, timeout_s: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), timeout_s)
    except TimeoutError:
        return False
    return True


def _environment(environ: Mapping[str, str], url: str, key: str) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _NOT_ITS_OWN}
    return kept | {"AITBC_BASE_URL": url, "AITBC_API_KEY": key}
