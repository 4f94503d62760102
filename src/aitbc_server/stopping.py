"""The moment when the server is asked to stop: whoever would make it wait is told first."""

from __future__ import annotations

from collections.abc import Callable


class Stopping:
    """Calls back once, before the server waits for the requests in flight."""

    def __init__(self) -> None:
        self._hooks: list[Callable[[], None]] = []
        self.begun = False

    def add(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` when the stop begins. It must not block."""
        self._hooks.append(hook)

    def begin(self) -> None:
        """The server was asked to stop."""
        if not self.begun:
            self.begun = True
            for hook in self._hooks:
                hook()
