"""The framework with its routes, built once a process: what differs between two servers travels in the scope.

Building it takes an eighth of a second, and depends on nothing but the routes. A server is the framework and its own
services, which its handlers get by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope as ASGIScope

from aitbc_server.clock import Timestamp
from aitbc_server.gate.asgi import App, Receive, Scope, Send
from aitbc_server.json_limits import MAX_BODY_BYTES
from aitbc_server.web.http_errors import EXCEPTION_HANDLERS, SERVICES, services_of
from aitbc_server.web.json_body import JsonRequest
from aitbc_server.web.routing import GUARDS

#: The service whose ``check`` guards the pages.
ACCESS = "access"

#: What runs beside the requests, from the start to the stop.
Lifespan = Callable[[], AbstractAsyncContextManager[None]]


class Served:
    """An ASGI app: the framework, with the services of one server."""

    def __init__(
        self,
        routes: Sequence[BaseRouteHandler],
        services: Mapping[str, Any],
        lifespan: Sequence[Lifespan],
        dependencies: Mapping[str, Callable[..., Any]],
        errors: Mapping[type[Exception], Callable[..., Any]],
    ) -> None:
        """Handlers get ``services`` by name, and what ``dependencies`` make of the request.

        ``errors`` answer what is raised, beside ``EXCEPTION_HANDLERS``. The parts of ``lifespan`` are entered in their
        order, and left in the opposite one.
        """
        self.framework = _built(tuple(routes), frozenset(services), tuple(dependencies.items()), tuple(errors.items()))
        self._serve = cast("App", self.framework)
        self._services = services
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        scope[SERVICES] = self._services
        await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        # What fails here is raised to whoever runs the server.
        async with AsyncExitStack() as running:
            await receive()
            for part in self._lifespan:
                await running.enter_async_context(part())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@cache
def _built(
    routes: tuple[BaseRouteHandler, ...],
    services: frozenset[str],
    dependencies: tuple[tuple[str, Callable[..., Any]], ...],
    errors: tuple[tuple[type[Exception], Callable[..., Any]], ...],
) -> Litestar:
    return Litestar(
        route_handlers=routes,
        dependencies={
            **{name: Provide(made, sync_to_thread=False) for name, made in dependencies},
            **{name: _service(name) for name in services},
        },
        exception_handlers={**EXCEPTION_HANDLERS, **dict(errors)},
        guards=[*GUARDS, _guard_page],
        request_class=JsonRequest,
        type_encoders={Timestamp: Timestamp.text},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


def _service(name: str) -> Provide:
    def provide(scope: ASGIScope) -> Any:
        return scope[SERVICES][name]  # type: ignore[literal-required]

    return Provide(provide, sync_to_thread=False)


async def _guard_page(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Pages are guarded by the dashboard that they belong to."""
    await services_of(connection)[ACCESS].check(connection, handler)
