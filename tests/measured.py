"""Which tests count as coverage: tracing makes a test take twice as long, and these reach nothing that others do not.

What they start as processes of their own is measured all the same.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import pytest

#: Folders and files of tests that are not traced.
UNTRACED = (
    "tests/bench/",
    "tests/browser/",
    "tests/contract/",
    "tests/docs/",
    "tests/fleet/test_fence_model.py",
    "tests/tools/",
)


class Tracing:
    """Takes the tracing of coverage away around such a test and its fixtures."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run one test."""
        if not item.nodeid.startswith(UNTRACED):
            return (yield)
        here, in_new_threads = sys.gettrace(), threading.gettrace()
        sys.settrace(None)
        threading.settrace(None)
        try:
            return (yield)
        finally:
            sys.settrace(here)
            threading.settrace(in_new_threads)
