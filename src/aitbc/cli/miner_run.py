"""A miner in the foreground: signals stop it, its events are lines on standard error."""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from aitbc.cli.errors import EXIT_INTERRUPTED
from aitbc.cli.miner_options import capabilities_from
from aitbc.cli.output import note
from aitbc.cli.settings import Settings
from aitbc.worker import MinerOptions, MinerSummary, Runner, run_miner

_LOOK_EVERY_S = 0.1


def run_in_foreground(
    settings: Settings,
    runner: Runner,
    *,
    grace_s: float,
    miner_id: str | None,
    concurrency: int,
    region: str | None,
    **offers: Any,
) -> None:
    """Run the miner until SIGINT or SIGTERM. Raises the error with which the server refuses it."""
    offers["types"] = offers["types"] or tuple(runner.job_types)
    options = MinerOptions(
        miner_id=miner_id or host_miner_id(socket.gethostname()),
        capabilities=capabilities_from(**offers),
        concurrency=concurrency,
        region=region,
        stop_grace_s=grace_s,
    )
    note(f"miner {options.miner_id} for {settings.url}; Ctrl-C stops it")
    summary, signals = _watched(settings, runner, options)
    note(f"stopped: {summary.completed} completed, {summary.failed} failed, {summary.abandoned} given up")
    if signals > 1:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def host_miner_id(hostname: str) -> str:
    """The host's name, with what a miner id may not hold replaced."""
    return re.sub(r"[^0-9A-Za-z._:-]", "-", hostname).lstrip("._:-")[:100] or "miner"


def _watched(settings: Settings, runner: Runner, options: MinerOptions) -> tuple[MinerSummary, int]:
    """Run the miner in a thread of its own and return what it did and how many signals came.

    The first signal lets the jobs at hand finish, the second gives them up. The handlers only count: setting
    an event in one can deadlock with the very wait that it interrupts.
    """
    stop, give_up = threading.Event(), threading.Event()
    outcome: list[MinerSummary | Exception] = []

    def work() -> None:
        try:
            with settings.client() as client:
                outcome.append(
                    run_miner(client, runner, stop=stop, give_up=give_up, options=options, say=_say(settings))
                )
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    with _counted_signals() as received:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
            if received:
                stop.set()
            if len(received) > 1:
                give_up.set()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0], len(received)


def _say(settings: Settings) -> Callable[[str], None]:
    return lambda line: note(f"{settings.clock():%H:%M:%SZ} {line}")


@contextmanager
def _counted_signals() -> Iterator[list[int]]:
    """The SIGINTs and SIGTERMs that came so far, instead of what they would do."""
    received: list[int] = []

    def count(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
