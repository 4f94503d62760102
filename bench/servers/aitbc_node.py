"""The real server as a node of a fleet: the same ``aitbc serve``, with a Valkey."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bench.common.processes import Server, free_port, running
from bench.servers.aitbc import READY

# What a node logs when it goes on without its store.
_ALONE = "by this node alone"


def running_node(data_dir: Path, store: Server, *, core: int) -> AbstractContextManager[Server]:
    """Run it on ``core``, on a seeded folder, with its limits in ``store``."""
    port = free_port()
    return running(
        [sys.executable, "-m", "aitbc", "serve"],
        core=core,
        port=port,
        ready_path=READY,
        beside=[store],
        env={
            "AITBC_DATA_DIR": str(data_dir),
            "AITBC_PORT": str(port),
            "AITBC_VALKEY_URL": f"valkey://127.0.0.1:{store.port}",
        },
    )


def was_alone(node: Server) -> bool:
    """Whether the node has decided anything without its store: then it was not the store that was measured."""
    return node.has_said(_ALONE)
