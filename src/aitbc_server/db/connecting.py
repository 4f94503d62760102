"""Engines whose errors hold no values: what goes wrong is logged, and rows hold digests, password hashes, addresses.

A statement's text stays, with placeholders where its values were. (ASVS 16.2.5)
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

    ``connect_args`` are the driver's; what stands behind the address goes before them.
    """
    arguments = dict(connect_args or {})
    if url.get_backend_name() == "postgresql":
        url, named = for_driver(url)
        settings = {**arguments.get("server_settings", {}), **named.pop("server_settings", {})}
        arguments |= {**named, "server_settings": settings}
    engine = create_async_engine(url, hide_parameters=True, connect_args=arguments, **options)
    event.listen(engine.sync_engine, "handle_error", _hide_values)
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


def _shorten(error: BaseException | None) -> None:
    if error is not None and error.args and isinstance(error.args[0], str):
        before, told, after = error.args[0].partition(_TELLS_A_VALUE)
        if told:
            error.args = (before + told + after.partition(":")[0], *error.args[1:])
