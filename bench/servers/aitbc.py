"""The real server, as it is started for real: ``aitbc serve`` on a seeded folder."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bench.common.processes import Server, free_port, running

READY = "/health/ready"


def running_aitbc(data_dir: Path, *, core: int) -> AbstractContextManager[Server]:
    """Run it on ``core`` for as long as the block lasts."""
    port = free_port()
    return running(
        [sys.executable, "-m", "aitbc", "serve"],
        core=core,
        port=port,
        ready_path=READY,
        env={"AITBC_DATA_DIR": str(data_dir), "AITBC_PORT": str(port)},
    )
