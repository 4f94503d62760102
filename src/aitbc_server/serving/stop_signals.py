"""SIGTERM and Ctrl-C: the first asks for a graceful stop, the second ends the process at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first signal sets; from then on signals do what they do without us."""
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def first() -> None:
        give_back()
        received.set()

    def give_back() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            # Python's own Ctrl-C handler would have to wait for a loop that may be stuck.
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, first)
    try:
        yield received
    finally:
        give_back()
