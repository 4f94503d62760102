"""The miner of a development server, as a process of its own: ``python -m aitbc_server.dev.miner_process``.

Its key and address come by the environment. Its standard input is a pipe that its server holds: a line on it asks for
an end, and when the pipe breaks the server is gone, even by SIGKILL, and so is this process.
"""

from __future__ import annotations

import sys
import threading

from aitbc import AITBCClient
from aitbc.exceptions import AITBCError
from aitbc.worker import MinerOptions, example_runner, run_miner

MINER_ID = "dev-miner"
GRACE_S = 1.0


def main() -> int:
    """Run jobs until the pipe says otherwise. The exit code: 1 where the server refused the key."""
    stop, give_up = threading.Event(), threading.Event()

    def watch() -> None:
        sys.stdin.readline()
        stop.set()
        sys.stdin.read()
        give_up.set()

    threading.Thread(target=watch, daemon=True).start()
    runner = example_runner()
    options = MinerOptions(
        miner_id=MINER_ID, capabilities={"types": list(runner.job_types)}, concurrency=2, stop_grace_s=GRACE_S
    )
    try:
        with AITBCClient(max_retries=0) as client:
            run_miner(client, runner, stop=stop, give_up=give_up, options=options, say=_say)
    except AITBCError as error:
        _say(f"refused: {error}")
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the server reads it and logs it


if __name__ == "__main__":
    sys.exit(main())
