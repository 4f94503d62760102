"""A server that does not outlive the process that started it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

logger = logging.getLogger(__name__)

# Shorter than any start takes: whoever starts again at once finds the port and the folder free.
_LOOK_EVERY_S = 0.2


def end_with(parent_pid: int) -> None:
    """From now on, die when the parent of this process is no longer ``parent_pid``, which was its id at the start.

    A parent that is asked to end passes that on, and the server stops in order. One that is killed cannot: then the
    server is killed too, as if it had been meant, which it is made for, and the port is free.
    """
    threading.Thread(target=_watch, args=(parent_pid,), name="watching the parent", daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_LOOK_EVERY_S)
    logger.warning("the process that started this server was killed: the server ends, too")
    os.kill(os.getpid(), signal.SIGKILL)
