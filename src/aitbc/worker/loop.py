"""The miner's loop: register, poll, work, report, and keep the leases alive meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aitbc.exceptions import AITBCError, ConflictError, NotFoundError
from aitbc.worker.backoff import Backoff, is_passing, reason
from aitbc.worker.report import Reporter
from aitbc.worker.runner import JobFailed, JsonObject, Runner

if TYPE_CHECKING:
    from aitbc import AITBCClient
    from aitbc.schemas.miners import AssignedJob

_LOOK_EVERY_S = 0.1
# How long a poll that is on its way may still bring a job when the miner is told to stop.
_LAST_POLL_S = 1.0
# How long runners get to end once they are told to: a program is killed 2 s after it was asked to end.
_GIVE_UP_S = 5.0
_FORGOTTEN_S = 1.0


@dataclass
class MinerSummary:
    """What a miner did. ``abandoned`` jobs were not reported: their leases lapse, and they are queued again."""

    completed: int = 0
    failed: int = 0
    abandoned: int = 0


@dataclass(frozen=True, kw_only=True)
class MinerOptions:
    """What a miner says of itself, and its rhythm in seconds."""

    miner_id: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 1
    region: str | None = None
    poll_wait_s: float = 15.0
    heartbeat_interval_s: float = 10.0
    stop_grace_s: float = 30.0


def run_miner(
    client: AITBCClient,
    runner: Runner,
    *,
    stop: threading.Event,
    give_up: threading.Event | None = None,
    options: MinerOptions | None = None,
    say: Callable[[str], object] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> MinerSummary:
    """Run jobs from ``client``'s server until ``stop`` is set.

    ``client`` should not retry by itself (``max_retries=0``): this loop does, with growing waits, for as long
    as the server is away. Once ``stop`` is set, jobs at hand may finish for ``stop_grace_s``, or until
    ``give_up`` is set; then they are ended without a report: their leases lapse and the server hands them to
    another miner. ``say`` gets a line for each event, from several threads.

    Raises the APIStatusError with which the server refuses the key or the registration.
    """
    return _Miner(client, runner, stop, give_up or threading.Event(), options or MinerOptions(), say, clock).run()


class _Miner:
    """Three kinds of threads: one polls, one beats, one for each job works. The caller's own watches them."""

    def __init__(
        self,
        client: AITBCClient,
        runner: Runner,
        stop: threading.Event,
        give_up: threading.Event,
        options: MinerOptions,
        say: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._runner = runner
        self._stop = stop
        self._options = options
        self._say = say
        self._clock = clock
        self._summary = MinerSummary()
        self._fatal: Exception | None = None
        self._given_up = give_up
        self._reporter = Reporter(client, options.miner_id, self._given_up, say)
        self._change = threading.Condition()
        self._at_work: set[str] = set()
        self._closed = False
        self._registered = False

    def run(self) -> MinerSummary:
        poller = self._start(self._poll_jobs)
        self._start(self._beat)
        try:
            while not self._stop.wait(_LOOK_EVERY_S) and self._fatal is None:
                pass
            if self._fatal is None:
                poller.join(_LAST_POLL_S)
                self._let_finish()
        finally:
            self._closed = True
            self._given_up.set()
            self._wait_until(lambda: not self._at_work, _GIVE_UP_S)
        if self._fatal is not None:
            raise self._fatal
        return self._summary

    def _start(self, work: Callable[..., None], *args: Any) -> threading.Thread:
        """Run ``work`` in a thread that never outlives the process; what it raises ends the miner."""

        def guarded() -> None:
            try:
                work(*args)
            except Exception as error:
                self._fatal = self._fatal or error

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _let_finish(self) -> None:
        with self._change:
            self._closed = True
            at_work = len(self._at_work)
        if at_work:
            self._say(f"stopping; {at_work} at work may take {self._options.stop_grace_s:g} s more")
        deadline_s = self._clock() + self._options.stop_grace_s
        while not self._wait_until(lambda: not self._at_work, _LOOK_EVERY_S):
            if self._given_up.is_set() or self._fatal is not None or self._clock() > deadline_s:
                return

    def _wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._change:
            return self._change.wait_for(condition, timeout_s)

    def _register(self) -> None:
        options = self._options
        self._client.miners.register(
            options.miner_id,
            capabilities=options.capabilities,
            concurrency=options.concurrency,
            region=options.region,
        )
        self._say(f"registered{f' as {options.miner_id}' if options.miner_id else ''}; waiting for jobs")

    def _poll_jobs(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            if not self._wait_until(lambda: len(self._at_work) < self._options.concurrency, _LOOK_EVERY_S):
                continue
            try:
                job = self._next_job()
            except AITBCError as error:
                if not is_passing(error):
                    raise
                wait_s = backoff.next_s(error)
                self._say(f"no jobs for now, trying again in {wait_s:.1f} s: {reason(error)}")
                self._stop.wait(wait_s)
                continue
            if backoff.failures:
                self._say("the server answers again")
            backoff.reset()
            if job is not None:
                self._take(job)

    def _next_job(self) -> AssignedJob | None:
        """A job, or None where none came in time."""
        if not self._registered:
            self._register()
            self._registered = True
        try:
            return self._client.miners.poll(self._options.poll_wait_s, miner_id=self._options.miner_id)
        except (NotFoundError, ConflictError):
            # The server does not know this miner any more: register again, but not in a tight circle.
            self._registered = False
            self._stop.wait(_FORGOTTEN_S)
            return None

    def _take(self, job: AssignedJob) -> None:
        with self._change:
            if self._closed:
                self._summary.abandoned += 1
                return
            self._at_work.add(job.job_id)
        self._start(self._work, job)

    def _work(self, job: AssignedJob) -> None:
        try:
            started_s = self._clock()
            self._say(f"{job.job_id} started, type {job.payload.get('type', '(none)')}")
            outcome = self._run_job(job)
            duration_s = self._clock() - started_s
            metrics = {"duration_seconds": round(duration_s, 3)}
            # A job that was given up is not reported: another miner shall have it.
            done = not self._given_up.is_set() and self._reporter.report(job.job_id, outcome, metrics)
            self._count(job.job_id, outcome, duration_s, done=done)
        finally:
            with self._change:
                self._at_work.discard(job.job_id)
                self._change.notify_all()

    def _run_job(self, job: AssignedJob) -> JsonObject | JobFailed:
        try:
            return self._runner.run(job.job_id, job.payload, self._given_up)
        except JobFailed as failure:
            return failure
        except Exception as error:
            return JobFailed("runner_error", f"{type(error).__name__}: {error}")

    def _count(self, job_id: str, outcome: JsonObject | JobFailed, duration_s: float, *, done: bool) -> None:
        with self._change:
            if not done:
                self._summary.abandoned += 1
                word = "given up"
            elif isinstance(outcome, JobFailed):
                self._summary.failed += 1
                word = f"failed ({outcome})"
            else:
                self._summary.completed += 1
                word = "completed"
        self._say(f"{job_id} {word} after {duration_s:.1f} s")

    def _beat(self) -> None:
        """Heartbeats keep the leases of the jobs at hand, also while the last of them finish."""
        while not self._given_up.wait(self._options.heartbeat_interval_s):
            try:
                self._client.miners.heartbeat(self._options.miner_id, inflight=len(self._at_work))
            except (NotFoundError, ConflictError):
                continue  # The poller registers again.
            except AITBCError as error:
                if not is_passing(error):
                    raise
