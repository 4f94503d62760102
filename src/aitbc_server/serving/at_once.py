"""Granian made to ask for an answer at once, before it hands a request over to the event loop.

Granian reads requests on threads of its own and hands each to the event loop's thread: a switch of threads to and fro,
a coroutine and a task, which together cost as much as a whole check. An answer that needs nothing to be waited for is
given on the thread that brought the request.

This knows how Granian 2.8 is made inside, and pyproject.toml keeps to that: ``spawn`` does what Granian's own function
for ASGI does, but for the scheduler. What is not answered at once takes Granian's own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from granian._futures import _cbsched_aioschedule, _future_watcher_wrapper
from granian._granian import ASGIWorker, CallbackScheduler
from granian.asgi import _callback_wrapper

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import AnswersAtOnce, Scope

Schedule = Callable[[Any], None]


async def spawn(
    worker_id: int,
    stop: Any,
    app: AnswersAtOnce,
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
    scheduler._schedule_fn = _at_once(app.answer_at_once, later)  # noqa: SLF001
    return scheduler


def _at_once(answer_at_once: Callable[[Scope], Answer | None], later: Schedule) -> Schedule:
    def schedule(watcher: Any) -> None:
        # Granian looks neither at what this returns nor at what it raises.
        answer = answer_at_once(watcher.scope)
        if answer is None:
            later(watcher)
            return
        status, headers, body = answer
        # It has the whole answer when these return: what they return to be awaited is there for the protocol's sake.
        send = watcher.proto.send
        send({"type": "http.response.start", "status": status, "headers": headers})
        send({"type": "http.response.body", "body": body})
        watcher.done()

    return schedule
