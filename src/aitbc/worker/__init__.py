"""A miner: it polls for jobs, runs each with a runner, and reports. ``aitbc miners run`` is a shell around it.

from aitbc import AITBCClient
from aitbc.worker import example_runner, run_miner

stop = threading.Event()
with AITBCClient(max_retries=0) as client:
    run_miner(client, example_runner(), stop=stop)      # until stop is set
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aitbc.worker.exec_runner import ExecRunner, example_runner
    from aitbc.worker.loop import MinerOptions, MinerSummary, run_miner
    from aitbc.worker.openai_runner import OpenAIRunner
    from aitbc.worker.runner import JobFailed, Runner

__all__ = [
    "ExecRunner",
    "JobFailed",
    "MinerOptions",
    "MinerSummary",
    "OpenAIRunner",
    "Runner",
    "example_runner",
    "run_miner",
]

_HOMES = {
    "ExecRunner": "exec_runner",
    "JobFailed": "runner",
    "MinerOptions": "loop",
    "MinerSummary": "loop",
    "OpenAIRunner": "openai_runner",
    "Runner": "runner",
    "example_runner": "exec_runner",
    "run_miner": "loop",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the example program, a module of this package, needs none of it and starts often."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
