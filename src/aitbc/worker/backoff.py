"""How long to wait before trying again, and whether that makes sense."""

from __future__ import annotations

import random
from collections.abc import Callable

from aitbc.exceptions import AITBCError, APIConnectionError, APIStatusError, RateLimitError, ServerError

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


def is_passing(error: AITBCError) -> bool:
    """Whether trying again may help: the server is away, failing or busy. Its other refusals stay the same."""
    return isinstance(error, (APIConnectionError, ServerError, RateLimitError)) or not isinstance(error, APIStatusError)


def reason(error: AITBCError) -> str:
    """What went wrong, in few words: it is said again and again while the server is away."""
    return f"no answer ({error.__cause__ or error})" if isinstance(error, APIConnectionError) else str(error)


class Backoff:
    """Waits that double from 0.5 s to 30 s, each shortened by up to a half at random."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self.failures = 0

    def next_s(self, error: AITBCError) -> float:
        """Seconds to wait after ``error``; what the server asks for, if it asks."""
        wait_s = min(FIRST_WAIT_S * (1 << min(self.failures, 10)), LONGEST_WAIT_S)
        self.failures += 1
        if isinstance(error, RateLimitError) and error.retry_after is not None:
            return error.retry_after + self._jitter()
        return wait_s * (1 - self._jitter() / 2)

    def reset(self) -> None:
        """It worked: start from the beginning next time."""
        self.failures = 0
