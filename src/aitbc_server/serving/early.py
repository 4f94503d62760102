"""Granian made to ask for an answer early, before a request is given a coroutine and a task.

Granian reads requests on threads of its own and hands each to the event loop's thread: a switch of threads to and fro,
a coroutine and a task, which together cost as much as a whole check. An answer that needs nothing to be waited for is
given on the thread that brought the request. Where all answers wait for the store that a fleet shares, the requests
that have come are begun together in one turn of the event loop, and answered as the store's answer is read.

This knows how Granian 2.8 is made inside, and pyproject.toml keeps to that: ``spawn`` does what Granian's own function
for ASGI does, but for the scheduler. What is not answered early takes Granian's own way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from granian._futures import _cbsched_aioschedule, _future_watcher_wrapper
from granian._granian import ASGIWorker, CallbackScheduler
from granian.asgi import _callback_wrapper

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import AnswersEarly

Schedule = Callable[[Any], None]


async def spawn(
    worker_id: int,
    stop: Any,
    app: AnswersEarly,
    sockets: tuple[Any, Any],
    runtime_threads: int,
    runtime_blocking_threads: int,
    blocking_threads: int,
    blocking_threads_idle_timeout: int,
    backpressure: int,
    _task_impl: Any,
    http_mode: Any,
    http1_settings: Any,
    http2_settings: Any,
    websockets: bool,
    static_path: Any,
    _access_log: None,
    tls: tuple[Any, ...],
    scope_options: dict[str, Any],
) -> None:
    """Run a worker of Granian's in this process until ``stop``; the parameters are the ones that Granian passes."""
    loop = asyncio.get_running_loop()
    stopped = loop.create_future()
    stop.add_cb(lambda: loop.call_soon_threadsafe(stopped.set_result, None))
    make_worker: Any = ASGIWorker
    worker = make_worker(
        worker_id,
        sockets,
        None,
        runtime_threads,
        runtime_blocking_threads,
        blocking_threads,
        blocking_threads_idle_timeout,
        backpressure,
        http_mode,
        http1_settings,
        http2_settings,
        websockets,
        static_path,
        *tls,
        (None, None),
    )
    worker.serve_async(_scheduler(loop, app, scope_options), loop, stop)
    await stopped


def _scheduler(loop: asyncio.AbstractEventLoop, app: Any, scope_options: dict[str, Any]) -> Any:
    """What Granian hands each request to, by way of ``_schedule_fn``, on the one thread that it has for that."""
    serve = _future_watcher_wrapper(_callback_wrapper(app, scope_options, {}))  # type: ignore[no-untyped-call]
    make: Any = CallbackScheduler
    # The last three are for Granian's other way of running tasks.
    scheduler = make(loop, serve, None, None, None)
    context = scheduler._ctx  # noqa: SLF001
    later = _cbsched_aioschedule(loop, context, serve)  # type: ignore[no-untyped-call]
    schedule = _here(app, later) if app.is_early_anywhere else _together(app, later, loop)
    scheduler._schedule_fn = schedule  # noqa: SLF001
    return scheduler


def _here(app: AnswersEarly, later: Schedule) -> Schedule:
    """Ask on the thread that brings the request. Granian looks neither at what this returns nor at what it raises."""

    def schedule(watcher: Any) -> None:
        app.answer_early(watcher.scope, partial(_reply, watcher, later))

    return schedule


def _together(app: AnswersEarly, later: Schedule, loop: asyncio.AbstractEventLoop) -> Schedule:
    """Ask on the event loop, which is woken once for all that came since it last looked."""
    waiting: deque[Any] = deque()
    is_woken = False

    def schedule(watcher: Any) -> None:
        nonlocal is_woken
        waiting.append(watcher)
        if not is_woken:
            is_woken = True
            loop.call_soon_threadsafe(begin)

    def begin() -> None:
        nonlocal is_woken
        # In this order: who comes now wakes the loop once more, or is seen here.
        is_woken = False
        for _ in range(len(waiting)):
            watcher = waiting.popleft()
            try:
                app.answer_early(watcher.scope, partial(_reply, watcher, later))
            except Exception as error:
                # The others have come too.
                watcher.err(error)

    return schedule


def _reply(watcher: Any, later: Schedule, answer: Answer | None) -> None:
    if answer is None:
        later(watcher)
        return
    status, headers, body = answer
    send = watcher.proto.send
    try:
        # It has the whole answer when these return: what they return to be awaited is there for the protocol's sake.
        send({"type": "http.response.start", "status": status, "headers": headers})
        send({"type": "http.response.body", "body": body})
    except Exception as error:
        watcher.err(error)
    else:
        watcher.done()
