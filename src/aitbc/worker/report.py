"""Handing in a job's outcome, for as long as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aitbc.exceptions import (
    AITBCError,
    APIStatusError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from aitbc.worker.backoff import Backoff, is_passing, reason
from aitbc.worker.runner import JobFailed, JsonObject

if TYPE_CHECKING:
    from aitbc import AITBCClient

_MAX_MESSAGE = 10_000  # The wire format's bound for error_message.


@dataclass(frozen=True)
class Reporter:
    """Submits outcomes until the server has answered or ``given_up`` is set."""

    client: AITBCClient
    miner_id: str | None
    given_up: threading.Event
    say: Callable[[str], object]

    def report(self, job_id: str, outcome: JsonObject | JobFailed, metrics: dict[str, Any]) -> bool:
        """Whether the server has the outcome, or no longer wants it. Raises what it says about the key.

        Sending a result twice does no harm: the server accepts one, and answers 409 to the second.
        """
        backoff = Backoff()
        while True:
            try:
                self._submit(job_id, outcome, metrics)
            except (AuthenticationError, PermissionDeniedError):
                raise
            except (ConflictError, NotFoundError) as error:
                if not backoff.failures:
                    self.say(f"{job_id} is no longer this miner's: {error}")
                return True
            except AITBCError as error:
                if is_passing(error):
                    wait_s = backoff.next_s(error)
                    self.say(f"{job_id} could not be reported, trying again in {wait_s:.1f} s: {reason(error)}")
                    if self.given_up.wait(wait_s):
                        return False
                elif isinstance(outcome, JobFailed):
                    self.say(f"{job_id} could not be reported: {error}")
                    return False
                else:
                    outcome = _refused(error)
            else:
                return True

    def _submit(self, job_id: str, outcome: JsonObject | JobFailed, metrics: dict[str, Any]) -> None:
        miners = self.client.miners
        if isinstance(outcome, JobFailed):
            message = outcome.message[:_MAX_MESSAGE]
            miners.submit_failure(job_id, outcome.code, message, metrics=metrics, miner_id=self.miner_id)
        else:
            miners.submit_result(job_id, outcome, metrics=metrics, miner_id=self.miner_id)


def _refused(error: AITBCError) -> JobFailed:
    """The failure to report in place of a result that the server does not take, such as one that is too large."""
    detail = error.detail if isinstance(error, APIStatusError) else str(error)
    return JobFailed("result_refused", f"the server did not take the result: {detail}")
