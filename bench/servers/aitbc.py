"""The real server on a seeded folder. ``python -m bench.servers.aitbc --port N --data-dir D``."""

from __future__ import annotations

from pathlib import Path

from aitbc_server.app import create_app
from aitbc_server.gate.asgi import App
from aitbc_server.settings import Settings
from bench.servers.embedded import arguments, run

if __name__ == "__main__":
    given = arguments(__doc__ or "", "--data-dir")

    async def _make_app() -> App:
        return create_app(Settings(data_dir=Path(given.data_dir)))

    run(_make_app, given.port)
