"""A market, and a miner that works for it in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest
from tests.worker.marketplace import Marketplace, marketplace

from aitbc import AITBCClient
from aitbc.worker import MinerOptions, MinerSummary, Runner, run_miner

# Everything happens faster than in the field; the order stays the same.
QUICK = MinerOptions(miner_id="rig-1", poll_wait_s=0.2, heartbeat_interval_s=0.05, stop_grace_s=10)


@dataclass
class MinerThread:
    """A running miner: what it said, how to stop it, and how it ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    give_up: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)
    summary: MinerSummary | None = None
    error: Exception | None = None


StartMiner = Callable[..., AbstractContextManager[MinerThread]]


@pytest.fixture
def market() -> Iterator[Marketplace]:
    """A fresh market."""
    with marketplace() as running:
        yield running


@pytest.fixture
def start_miner(market: Marketplace) -> StartMiner:
    """Run a miner for the time of a block; it is stopped, and has ended, when the block is left."""

    @contextmanager
    def start(runner: Runner, options: MinerOptions = QUICK) -> Iterator[MinerThread]:
        miner = MinerThread()

        def work() -> None:
            with AITBCClient("key", market.url, max_retries=0) as client:
                try:
                    miner.summary = run_miner(
                        client,
                        runner,
                        stop=miner.stop,
                        give_up=miner.give_up,
                        options=options,
                        say=miner.lines.append,
                    )
                except Exception as error:
                    miner.error = error

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield miner
        finally:
            miner.stop.set()
            thread.join(15)
            assert not thread.is_alive()

    return start
