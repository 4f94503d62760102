"""SIGTERM and Ctrl-C: the first asks for a graceful stop, the second ends the process at once, where it may."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: What asks a server to stop.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(*, second_ends: bool = True) -> Iterator[asyncio.Event]:
    """An event that the first signal sets; from then on signals do what they do without us.

    ``second_ends`` False: further ones do nothing. A worker is told by its parent, by Ctrl-C and by systemd at once.
    """
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def first() -> None:
        if second_ends:
            give_back()
        received.set()

    def give_back() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            # Python's own Ctrl-C handler would have to wait for a loop that may be stuck.
            signal.signal(number, signal.SIG_DFL)

    for number in SIGNALS:
        loop.add_signal_handler(number, first)
    try:
        yield received
    finally:
        give_back()
