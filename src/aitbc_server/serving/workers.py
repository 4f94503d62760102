"""Several processes that serve on one port: a parent that binds it, starts them, and starts anew whichever dies.

All accept from the one socket: what waits in its queue is taken by whoever is free, also while one of them stops. They
share limits, counts and revocations in Valkey and everything else in PostgreSQL; a worker is a node of a fleet.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from contextlib import nullcontext

import msgspec

from aitbc_server.db.engine import Database
from aitbc_server.logging import name_worker
from aitbc_server.serving import checks, folder
from aitbc_server.serving.leftovers import worker_folder
from aitbc_server.serving.listener import BACKLOG, address_of, bind
from aitbc_server.serving.parent import end_with
from aitbc_server.serving.ready import announced
from aitbc_server.serving.server import STOP_S, Role, ready_to_serve, serve_on, url_of
from aitbc_server.serving.stop_signals import SIGNALS
from aitbc_server.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.05
#: A worker that dies again and again is started ever more rarely.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
#: One that lived so long is not one of those.
_LIVED_S = 30.0


def run(settings: Settings, role: Role) -> int:
    """Serve with ``settings.workers`` processes until SIGTERM or SIGINT. The exit code; raises StartError.

    In each worker, too, this returns its exit code.
    """
    checks.ensure_named_secret_key(settings)
    folder.ensure_free(settings.data_dir)
    with bind(settings.host, settings.port) as listening:
        folder.prepare(settings.data_dir)
        lock = folder.FolderLock(settings.data_dir)
        lock.acquire()
        try:
            listening.listen(BACKLOG)
            asyncio.run(_check(settings, role))
            parent = Parent(settings, listening, lock)
            number = parent.supervise()
            if number is None:
                return parent.exit_code
            return serve_on(listening, _of_worker(settings, number), _as_worker(role))
        finally:
            lock.release()


async def _check(settings: Settings, role: Role) -> None:
    """Whatever would keep every worker from starting is said once."""
    database = Database(settings.sqlalchemy_url)
    try:
        secret_keys = await ready_to_serve(settings, role, database)
        await role.prepare(database, secret_keys, "")
    finally:
        await database.close()


def _of_worker(settings: Settings, number: int) -> Settings:
    """What a worker is started with: the same, but for what processes cannot share."""
    metrics = settings.metrics_address
    if metrics is not None and metrics[1]:
        metrics = metrics[0], metrics[1] + number - 1
    secret_key_file = settings.secret_key_file
    if not settings.secret_key:
        secret_key_file = secret_key_file or settings.own_secret_key_file
    return msgspec.structs.replace(
        settings,
        data_dir=worker_folder(settings.data_dir, number),
        metrics_address=metrics,
        secret_key_file=secret_key_file,
        workers=1,
    )


def _as_worker(role: Role) -> Role:
    """The parent says that the server is ready, and asks for stops, more than once where it must."""
    return role._replace(beside=lambda _url: nullcontext(), second_signal_ends=False)


class _Worker:
    """A place for a worker. ``pid`` is 0 while there is none, until ``due_s``. ``was_ready``: any of its workers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.is_ready = self.was_ready = False
        self.due_s = self.began_s = 0.0
        self.pause_s = _FIRST_PAUSE_S

    def exit_code(self) -> int | None:
        """What it has ended with, below 0 by a signal; None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def died(self) -> None:
        """When to start it anew."""
        at_s = time.monotonic()
        self.is_ready = False
        if at_s - self.began_s > _LIVED_S:
            self.pause_s = _FIRST_PAUSE_S
        self.pid, self.due_s = 0, at_s + self.pause_s
        self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)


class Parent:
    """Starts workers and watches over them; ``exit_code`` is what the whole ends with."""

    def __init__(self, settings: Settings, listening: socket.socket, lock: folder.FolderLock) -> None:
        self.exit_code = 0
        self._settings = settings
        self._listening = listening
        self._url = url_of(*address_of(listening))
        self._lock = lock
        self._workers = [_Worker(number) for number in range(1, settings.workers + 1)]
        self._asked = 0
        self._announced = False

    def supervise(self) -> int | None:
        """Until a signal asks for the end: None. In each new worker: its number."""
        for number in SIGNALS:
            signal.signal(number, self._ask)
        # Workers share the memory of what is imported by now, as long as nobody writes to it.
        gc.collect()
        gc.freeze()
        while not self._asked and not self.exit_code:
            for worker in self._workers:
                if not worker.pid and time.monotonic() >= worker.due_s and self._start(worker):
                    return worker.number
            self._look()
            time.sleep(_LOOK_EVERY_S)
        self._stop()
        return None

    def _ask(self, _signal: int, _frame: object) -> None:
        self._asked += 1

    def _start(self, worker: _Worker) -> bool:
        """Start it; whether this process is it."""
        folder.prepare(worker_folder(self._settings.data_dir, worker.number))
        parent = os.getpid()
        # A signal that comes before the worker has its own way with signals waits for that.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        worker.pid = os.fork()
        worker.began_s = time.monotonic()
        if worker.pid == 0:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            end_with(parent)
            name_worker(worker.number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return worker.pid == 0

    def _look(self) -> None:
        """Notice who died and who became ready."""
        for worker in self._workers:
            if worker.pid and not self._has_ended(worker) and not worker.is_ready:
                pid, url = folder.holder(worker_folder(self._settings.data_dir, worker.number))
                worker.is_ready = pid == str(worker.pid) and url != ""
                worker.was_ready |= worker.is_ready
        if not self._announced and all(worker.was_ready for worker in self._workers):
            self._announced = True
            self._lock.note(self._url)
            announced(self._settings, self._url)

    def _has_ended(self, worker: _Worker) -> bool:
        code = worker.exit_code()
        if code is None:
            return False
        how = _how(code)
        if code and not worker.was_ready:
            # What is wrong at the start stays wrong; the worker has said what it is.
            self.exit_code = code if code > 0 else 1
            logger.error("worker %d %s before it was ready", worker.number, how)
        else:
            logger.error("worker %d %s and is started anew", worker.number, how)
        worker.died()
        return True

    def _stop(self) -> None:
        """Let all finish what they have; whoever does not in time, or is not let, is killed."""
        asked, until_s = self._asked, time.monotonic() + STOP_S
        # When the last worker lets go of its copy, the port is closed: whoever comes then is refused, and goes
        # elsewhere. Held here any longer, requests would wait that nobody is going to answer.
        self._listening.close()
        self._tell(signal.SIGTERM)
        while any(worker.pid for worker in self._workers):
            if self._asked > asked or time.monotonic() > until_s:
                self._tell(signal.SIGKILL)
                self.exit_code = 1
            for worker in self._workers:
                if worker.pid:
                    self._see_off(worker)
            time.sleep(_LOOK_EVERY_S / 5)
        logger.info("all workers stopped")

    def _see_off(self, worker: _Worker) -> None:
        """Notice that it has ended, and whether in order: one that was still starting had nothing to put in order."""
        code = worker.exit_code()
        if code is None:
            return
        worker.pid = 0
        if code and (worker.is_ready or -code not in SIGNALS):
            self.exit_code = self.exit_code or 1
            logger.error("worker %d %s", worker.number, _how(code))

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def _how(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {_name_of(-code)}"


def _name_of(number: int) -> str:
    """Such as SIGKILL; most of the real-time signals have a number alone."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
