"""Engines whose errors hold no values: what goes wrong is logged, and rows hold digests, password hashes, addresses.

A statement's text stays, with placeholders where its values were. (ASVS 16.2.5)

A connection whose server did not answer in time is thrown away: the answer that may come yet is nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aitbc_server.db.addresses import for_driver

# The driver's and the server's words for a value that is none of its type; the value itself follows behind a colon.
_TELLS_A_VALUE = "invalid input "


def new_engine(url: URL, *, connect_args: Mapping[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """An engine with these options of SQLAlchemy's, whose errors tell no values in any of their texts.

    ``connect_args`` are the driver's; what stands behind the address goes before them. On PostgreSQL a
    ``command_timeout`` among them bounds each statement, which is TimeoutError then.
    """
    arguments = dict(connect_args or {})
    if url.get_backend_name() == "postgresql":
        # SQLite needs none of the driver.
        from aitbc_server.db.postgres_connection import Connection

        url, named = for_driver(url)
        settings = {**arguments.get("server_settings", {}), **named.pop("server_settings", {})}
        arguments = {"connection_class": Connection, **arguments, **named, "server_settings": settings}
    engine = create_async_engine(url, hide_parameters=True, connect_args=arguments, **options)
    event.listen(engine.sync_engine, "handle_error", _hide_values)
    event.listen(engine.sync_engine, "handle_error", _give_up)
    return engine


def _hide_values(context: ExceptionContext) -> None:
    error: BaseException | None = context.sqlalchemy_exception
    _shorten(error)
    # A traceback shows what an error came from, too.
    error = context.original_exception
    while error is not None:
        _shorten(error)
        # PostgreSQL quotes the row in question in a part of its own.
        if getattr(error, "detail", None) is not None:
            error.detail = None  # type: ignore[attr-defined]
        error = error.__cause__


def _give_up(context: ExceptionContext) -> TimeoutError | None:
    """No answer in time: neither this connection nor those beside it in the pool are believed in any more."""
    if not isinstance(context.original_exception, TimeoutError):
        return None
    if context.connection is None:
        return TimeoutError("the database takes no connection in time")
    context.is_disconnect = not context.connection.closed
    return TimeoutError("the database does not answer in time")


def _shorten(error: BaseException | None) -> None:
    if error is not None and error.args and isinstance(error.args[0], str):
        before, told, after = error.args[0].partition(_TELLS_A_VALUE)
        if told:
            error.args = (before + told + after.partition(":")[0], *error.args[1:])
