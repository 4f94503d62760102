"""The garbage collector of the tests' own process: it runs as a test ends, and at no other time.

A connection that a test leaks is warned of in that test, and not in whichever comes to be running later. Nor does the
collector run inside the tracer of coverage, whose table of greenlets holds weak references: now and then that table
came to an endless loop.
"""

from __future__ import annotations

import gc
import sys


def keep_still() -> None:
    """Nothing is collected until :func:`collect`."""
    gc.disable()


def collect() -> None:
    """Collect what has become garbage. What is left lives on, and no later call looks at it: that keeps this quick."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        gc.collect()
        gc.freeze()
    finally:
        sys.settrace(tracer)
