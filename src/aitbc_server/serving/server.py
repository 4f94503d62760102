"""A server's life in one process: checks, start, requests, a stop that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import msgspec

from aitbc_server.api_keys.revocations import revoke_again
from aitbc_server.app import create_app
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.host_port import host_port
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.serving import checks, database_checks, folder, leftovers, presence, store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.lifespan import Lifespan
from aitbc_server.serving.listener import Listener, address_of, bind
from aitbc_server.serving.probe import until_ready
from aitbc_server.serving.stop_signals import stop_signals
from aitbc_server.settings import Settings, reason
from aitbc_server.stopping import Stopping

logger = logging.getLogger(__name__)

# The stop takes at most 5 s in all, whatever hangs: requests in flight get the first part of it, and what must be
# stored the rest.
DRAIN_S = 3.0
STOP_S = 4.7

# Python's default looks for garbage after 700 new objects: a few dozen requests. Nothing on a request's way makes
# cycles, so looking that often costs time and finds nothing.
_GARBAGE_THRESHOLD = 50_000


class Role(NamedTuple):
    """What tells one kind of server from another.

    ``prepare`` runs once the database can be used, before anything is served; it gets the server's address too.
    ``beside`` is entered when the server answers there, and left when the stop begins, before connections are let go.
    ``second_signal_ends``: see ``stop_signals``.
    """

    may_migrate: bool
    prepare: Callable[[Database, SecretKeys, str], Awaitable[None]]
    beside: Callable[[str], AbstractAsyncContextManager[None]]
    second_signal_ends: bool = True


def run(settings: Settings, role: Role) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0, or 1 where the server broke. Raises StartError.

    Everything is in this process: its death, even by SIGKILL, frees the port and the folder.
    """
    # What refuses the start comes before what leaves something behind, and a server on the same folder before the port,
    # which it most likely has too.
    checks.ensure_named_secret_key(settings)
    folder.ensure_free(settings.data_dir)
    with bind(settings.host, settings.port) as listening:
        folder.prepare(settings.data_dir)
        return serve_on(listening, settings, role)


def serve_on(listening: socket.socket, settings: Settings, role: Role) -> int:
    """As ``run``, on a socket that is bound. The folder is there."""
    lock = folder.FolderLock(settings.data_dir)
    lock.acquire()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            end = runner.run(_serve(settings, role, listening, lock))
            if not end.drained:
                # Threads that still hold a request would keep the process from ending.
                logging.shutdown()
                os._exit(end.exit_code)
        return end.exit_code
    finally:
        lock.release()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _End(NamedTuple):
    exit_code: int
    drained: bool


async def _serve(settings: Settings, role: Role, listening: socket.socket, lock: folder.FolderLock) -> _End:
    database = Database(settings.sqlalchemy_url)
    try:
        secret_keys = await ready_to_serve(settings, role, database)
        # What nodes must not keep for themselves is in the store that they share.
        async with presence.holding(database, in_fleet=bool(settings.valkey_url)):
            await role.prepare(database, secret_keys, url_of(*address_of(listening)))
            return await _serve_requests(settings, role, listening, lock)
    finally:
        await database.close()


async def ready_to_serve(settings: Settings, role: Role, database: Database) -> SecretKeys:
    """All that must hold before anything is served. Raises StartError."""
    await database_checks.ensure_fit(database)
    # A node that restarts in the middle of an update goes on as the other old ones do.
    await checks.ensure_schema(database, may_migrate=role.may_migrate or database.is_sqlite, may_be_newer=True)
    secret_keys = await checks.load_secret_keys(settings, database)
    if settings.valkey_url:
        await store_checks.ensure_fit(settings.valkey_url)
        await store_checks.ensure_ours(settings.valkey_url, await checks.installation(database))
    await leftovers.store(settings, database)
    await _revoke_again(settings, database, secret_keys)
    return secret_keys


async def _revoke_again(settings: Settings, database: Database, secret_keys: SecretKeys) -> None:
    """A restored backup revives no key that was revoked after it was made. Other nodes hear of it by the outbox."""
    units = UnitsOfWork(database, LocalFences(lambda tenant_ids: None), system_clock)
    async with checks.explained(database):
        await revoke_again(units, AuditLog(secret_keys, system_clock), settings.data_dir)


async def _serve_requests(settings: Settings, role: Role, listening: socket.socket, lock: folder.FolderLock) -> _End:
    stopping = Stopping()
    host, port = address_of(listening)
    # Links lead to the port that is really listened on, where any free one was asked for.
    app = create_app(msgspec.structs.replace(settings, port=port), stopping=stopping)
    lifespan = Lifespan(app)
    try:
        await lifespan.start()
    except OSError as error:
        raise StartError(f"the data folder {settings.data_dir} cannot be used: {reason(error)}") from error
    _settle_memory()
    url = url_of(host, port)
    listener = Listener(app, listening)
    serving = asyncio.create_task(listener.serve(), name="serving")
    with stop_signals(second_ends=role.second_signal_ends) as stop:
        asked = asyncio.create_task(stop.wait(), name="stop signal")
        ready = asyncio.create_task(until_ready(host, port), name="waiting for the server")
        await asyncio.wait({serving, asked, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        broke = serving.done()
        if not broke and not stop.is_set():
            lock.note(url)
            async with role.beside(url):
                await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
                broke = serving.done()
                # Told before anything is waited for: long polls answer now.
                stopping.begin()
        stopping.begin()
        asked.cancel()
        drained = await _stop(listener, serving, lifespan)
    if broke:
        logger.error("the server broke: %s", serving.exception() or "its listener ended")
    logger.info("stopped")
    return _End(1 if broke else 0, drained)


def _settle_memory() -> None:
    """Everything that was made so far stays: later collections need not walk over it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


async def _stop(listener: Listener, serving: asyncio.Task[None], lifespan: Lifespan) -> bool:
    """Finish what is in flight, then store and close everything. False where something would not end."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    listener.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=DRAIN_S)
    drained = serving.done()
    if not drained:
        logger.warning("some requests did not end within %g s and are cut off", DRAIN_S)
    try:
        async with asyncio.timeout_at(began_s + STOP_S):
            await lifespan.stop()
    except TimeoutError:
        logger.error("not everything could be stored in time")
        return False
    return drained


def url_of(host: str, port: int) -> str:
    """The address as a URL."""
    return f"http://{host_port(host, port)}"
