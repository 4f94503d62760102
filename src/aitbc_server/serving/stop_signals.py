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

    ``second_ends`` False: further ones do nothing, to the end of the process. A worker is told by its parent, by Ctrl-C
    and by systemd at once, and must not die of the last of them when it has all but ended.
    """
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def first(*_: object) -> None:
        let_go()
        loop.call_soon_threadsafe(received.set)

    def let_go() -> None:
        # Python's own Ctrl-C handler would have to wait for a loop that may be stuck.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL if second_ends else signal.SIG_IGN)

    # Not the loop's way: it puts the default back before anything else can be set, and one more signal ends a worker
    # then. uvloop wakes for any handler; elsewhere a signal interrupts the loop's wait.
    for number in SIGNALS:
        signal.signal(number, first)
    try:
        yield received
    finally:
        let_go()
