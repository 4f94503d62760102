"""Python apps of peers on Granian, the server that our own runs on: one worker, connections kept alive, no log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from bench.common.processes import Server, free_port, running
from bench.peers.python_env import environment

APPS = Path(__file__).with_name("apps")


def running_granian(
    peer: str, app: str, interface: Literal["asgi", "wsgi"], env: Mapping[str, str], *options: str, core: int
) -> AbstractContextManager[Server]:
    """Run the function ``made`` of the module ``app`` in the environment of ``peer``, on ``core``."""
    port = free_port()
    command = [str(environment(peer) / "bin" / "granian"), "--interface", interface, "--factory", f"{app}:made"]
    serving = ["--host", "127.0.0.1", "--port", str(port), "--no-ws", "--http", "1", "--log-level", "warning"]
    env = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", **env}
    return running([*command, *serving, *options], core=core, port=port, env=env)
