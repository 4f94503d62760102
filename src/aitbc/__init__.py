"""The SDK of AITBC.

    from aitbc import AITBCClient

    client = AITBCClient(api_key="aitbc_live_...")
    job = client.jobs.create({"name": "hello", "type": "text-statistics", "text": "to be or not to be"})

``AsyncAITBCClient`` is the same with ``await``. Errors are in :mod:`aitbc.exceptions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitbc._version import __version__

if TYPE_CHECKING:
    from aitbc import exceptions
    from aitbc._client import AITBCClient, AsyncAITBCClient

__all__ = ["AITBCClient", "AsyncAITBCClient", "__version__", "exceptions"]


def __getattr__(name: str) -> Any:
    """Import the client when it is first asked for, so that ``import aitbc`` alone costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "exceptions":
        return import_module("aitbc.exceptions")
    return getattr(import_module("aitbc._client"), name)


def __dir__() -> list[str]:
    """What there is to import, so that completion shows the names that are not imported yet."""
    return sorted({*globals(), *__all__})
