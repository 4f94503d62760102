"""A miner: it polls for jobs, runs each with a runner, and reports. ``aitbc miners run`` is a shell around it.

from aitbc import AITBCClient
from aitbc.worker import example_runner, run_miner

stop = threading.Event()
with AITBCClient() as client:
    run_miner(client, example_runner(), stop=stop)      # until stop is set
"""

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
