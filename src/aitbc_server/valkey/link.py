"""The way to a Valkey server that takes changes: connected, or away and tried again in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aitbc_server.valkey import info
from aitbc_server.valkey.connection import (
    READ_ONLY,
    Address,
    Connection,
    ConnectionLostError,
    RefusedError,
    connect,
)

logger = logging.getLogger(__name__)

RETRY_S = 0.1

#: Prepares a new connection before anybody else uses it.
Greeting = Callable[[Connection], Awaitable[None]]
FAULTS = (OSError, TimeoutError, RefusedError, ConnectionLostError)


_LOST = "the connection was lost"


class Link:
    """Keeps two connections to one server open. ``connection`` is None while there is none; each new one is greeted.

    ``aside`` is for calls for which the server may take its time, such as waiting for replicas: those of requests do
    not stand behind them. Where it alone is lost requests go on, and it is None until there is a new one. ``find`` says
    where the server is; with ``recheck_s`` it is asked so often whether that is so still.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Address]],
        greet: Greeting,
        *,
        timeout_s: float = 0.25,
        name: str = "Valkey",
        recheck_s: float | None = None,
    ) -> None:
        self._find = find
        self._greet = greet
        self._timeout_s = timeout_s
        self._name = name
        self._recheck_s = recheck_s
        self._task: asyncio.Task[None] | None = None
        self.connection: Connection | None = None
        self.aside: Connection | None = None
        self._run_id = ""

    async def start(self) -> bool:
        """Connect now if that is possible at once, and keep on trying. Returns whether it was."""
        first = asyncio.Event()
        self._task = asyncio.create_task(self._keep(first), name=f"the way to {self._name}")
        # Whoever is stopped before the first attempt is over has nothing to wait for.
        self._task.add_done_callback(lambda _: first.set())
        await first.wait()
        return self.connection is not None

    async def stop(self) -> None:
        """Close the connections and try no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._leave()

    async def _keep(self, first: asyncio.Event) -> None:
        told = ""
        while True:
            try:
                address = await self._open()
            except Exception as error:
                told = self._tell_of_failure(error, told)
                first.set()
                await asyncio.sleep(RETRY_S)
                continue
            if told:
                logger.warning("%s answers again", self._name)
            told = _LOST
            first.set()
            why = await self._until_broken(address)
            logger.error("%s is away: %s; limits are kept by this node alone until it is back", self._name, why)
            self._leave()

    def _tell_of_failure(self, error: Exception, told: str) -> str:
        """Returns what was told last. No error ends the attempts; one that nobody expected is shown with its place."""
        reason = str(error) or type(error).__name__
        is_expected = isinstance(error, FAULTS)
        # After one line that it is away, only what a person has to put right makes another.
        if reason == told or (told and is_expected and not _needs_a_person(error)):
            return told
        what = "cannot be used" if _needs_a_person(error) else "does not answer"
        text = "%s %s, limits are kept by this node alone: %s"
        logger.error(text, self._name, what, reason, exc_info=None if is_expected else error)
        return reason

    async def _until_broken(self, address: Address) -> str:
        """Until a new connection is needed: why."""
        try:
            await self._until_over(address)
        except Exception as error:
            # What nobody expected must not end the attempts; with a pause, it does not fill the log at once.
            logger.exception("%s is left for an unexpected error", self._name)
            await asyncio.sleep(RETRY_S)
            return str(error) or type(error).__name__
        return _LOST

    async def _open(self) -> Address:
        """Both connections, or none."""
        address = await self._find()
        connection = await connect(address, timeout_s=self._timeout_s)
        aside: Connection | None = None
        try:
            aside = await connect(address, timeout_s=self._timeout_s)
            async with asyncio.timeout(self._timeout_s):
                await _ensure_master(connection)
                self._run_id = await _run_id(connection)
                await _ensure_run(aside, self._run_id)
                await self._greet(connection)
        except BaseException:
            connection.close()
            if aside is not None:
                aside.close()
            raise
        self.connection, self.aside = connection, aside
        return address

    async def _until_over(self, address: Address) -> None:
        """Until the connection of requests is lost, or its server is no longer the one. The other is made anew."""
        assert self.connection is not None
        told = ""
        while True:
            aside = self.aside
            ends = {each.lost for each in (self.connection, aside) if each is not None}
            wait_s = self._recheck_s if aside is not None else RETRY_S
            over, _ = await asyncio.wait(ends, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if self.connection.lost in over:
                return
            try:
                if (aside is None or over) and not await self._renew_aside(address):
                    return
                told = ""
            except FAULTS as error:
                if self.connection.lost.done():
                    return
                told = self._tell_of_aside(str(error) or type(error).__name__, told)
            if self._recheck_s is not None and await self._is_elsewhere(address):
                return

    async def _renew_aside(self, address: Address) -> bool:
        """A new connection for changes. False where by now another server answers there, or it is a replica."""
        self.aside = None
        aside = await connect(address, timeout_s=self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await _ensure_master(aside)
                is_same = await _run_id(aside) == self._run_id
        except BaseException as error:
            aside.close()
            if isinstance(error, RefusedError) and error.kind == READ_ONLY:
                return False
            raise
        if not is_same:
            aside.close()
            return False
        self.aside = aside
        return True

    def _tell_of_aside(self, reason: str, told: str) -> str:
        if reason != told:
            logger.warning("%s takes no second connection, so changes take a moment more: %s", self._name, reason)
        return reason

    async def _is_elsewhere(self, address: Address) -> bool:
        with contextlib.suppress(*FAULTS):
            # Nobody to be asked is no reason to leave a server that answers.
            if await self._find() != address:
                logger.warning("another server has taken the place of %s", self._name)
                return True
        return False

    def _leave(self) -> None:
        for connection in (self.connection, self.aside):
            if connection is not None:
                connection.close()
        self.connection = self.aside = None


def _needs_a_person(error: Exception) -> bool:
    """A password, a setting: not a server that is still reading its file, or about to become the master."""
    return isinstance(error, RefusedError) and error.kind not in {"LOADING", "MASTERDOWN", READ_ONLY}


async def _ensure_master(connection: Connection) -> None:
    if not info.is_master(await info.read(connection, "replication")):
        raise RefusedError(f"{READ_ONLY} the server is a replica")


async def _ensure_run(connection: Connection, run_id: str) -> None:
    if await _run_id(connection) != run_id:
        raise ConnectionLostError("its address led to two servers, one after the other")


async def _run_id(connection: Connection) -> str:
    """Which run of which server answers; changes and requests must be the same one's."""
    return (await info.read(connection, "server")).get("run_id", "")
