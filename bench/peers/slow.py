"""The peers of P4, with what each is sent and how it is started.

Each is given the fastest configuration that we know of; what a peer does not offer is not asked of it.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.common.cache import run_installer
from bench.common.processes import Server, free_port, running
from bench.common.side_by_side import Side
from bench.common.wrk import Request
from bench.peers import node_env, python_env
from bench.peers.granian import APPS, running_granian

_PATH = "/check"

_MASTER_KEY = "sk-of-the-benchmark-alone"


class Peer(NamedTuple):
    """``running`` starts it on a core, with that many keys and files in an empty folder of its own."""

    name: str
    title: str
    versions: Callable[[], dict[str, str]]
    running: Callable[[int, Path, int], AbstractContextManager[Side]]


@contextmanager
def _slowapi(keys: int, folder: Path, core: int) -> Iterator[Side]:
    """A key for each tenant, found by its SHA-256 in a dict; a moving window for each, in memory; limit headers."""
    made = _random_keys(keys)
    file = folder / "keys.txt"
    file.write_text("".join(f"{key}\ttenant-{number}\n" for number, key in enumerate(made)), encoding="ascii")
    env = {"BENCH_KEYS": str(file)}
    with running_granian("slowapi", "slowapi_app", "asgi", env, "--loop", "uvloop", core=core) as server:
        yield _side(server, made)


@contextmanager
def _drf_api_key(keys: int, folder: Path, core: int) -> Iterator[Side]:
    """Each key is a row in SQLite, on a connection that stays open; no middleware."""
    name = "drf-api-key"
    env = {"BENCH_DATABASE": str(folder / "keys.sqlite3")}
    command = [python_env.python(python_env.environment(name)), str(APPS / "drf_app.py"), str(keys)]
    made = run_installer(name, command, cwd=folder, env=env).split()
    with running_granian(name, "drf_app", "wsgi", env, "--blocking-threads", "1", core=core) as server:
        yield _side(server, made)


@contextmanager
def _better_auth(keys: int, folder: Path, core: int) -> Iterator[Side]:
    """verifyApiKey with its rate limit, called without HTTP routing, on SQLite in memory (node:sqlite).

    Its storage outside of a database is quicker, but no match for exact limits: it reads, adds and writes back, and
    its own source says that this may lose counts.
    """
    made, port = _random_keys(keys), free_port()
    file = folder / "keys.txt"
    file.write_text("".join(f"{key}\n" for key in made), encoding="ascii")
    command = [node_env.node(), str(node_env.app("better_auth.mjs")), str(port), str(file)]
    with running(command, core=core, port=port, env={"NODE_ENV": "production"}, ready_within_s=120) as server:
        yield _side(server, made)


@contextmanager
def _litellm(_keys: int, folder: Path, core: int) -> Iterator[Side]:
    """GET /v1/models with the master key: its one key that needs no database, so that it has no tenants."""
    port = free_port()
    command = [str(python_env.environment("litellm") / "bin" / "litellm"), "--config", str(APPS / "litellm.yaml")]
    serving = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    env = {
        "LITELLM_MASTER_KEY": _MASTER_KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "HOME": str(folder),
    }
    with running(
        [*command, *serving], core=core, port=port, ready_path="/health/liveliness", env=env, ready_within_s=120
    ) as server:
        yield Side(server, [Request("/v1/models", _MASTER_KEY)])


def _side(server: Server, keys: Sequence[str]) -> Side:
    return Side(server, [Request(_PATH, key) for key in keys])


def _random_keys(number: int) -> list[str]:
    return ["".join(secrets.choice(string.ascii_letters) for _ in range(64)) for _ in range(number)]


def _versions_of(name: str, *packages: str) -> Callable[[], dict[str, str]]:
    return lambda: python_env.versions(name, packages)


PEERS = (
    Peer("slowapi", "FastAPI + slowapi", _versions_of("slowapi", "slowapi", "fastapi"), _slowapi),
    Peer(
        "drf-api-key",
        "djangorestframework-api-key",
        _versions_of("drf-api-key", "djangorestframework-api-key", "django"),
        _drf_api_key,
    ),
    Peer("better-auth", "Better Auth", node_env.versions, _better_auth),
    Peer("litellm", "LiteLLM", _versions_of("litellm", "litellm"), _litellm),
)
