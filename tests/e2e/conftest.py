"""One real server for the session, with two tenants and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.e2e.processes import ServerProcess, running

# Far above what tests need: limits are the subject of tests that make their own tenant.
PLAN = "roomy"


@dataclass(frozen=True)
class SharedServer:
    """A running ``aitbc serve`` with the tenants ``alpha`` and ``beta`` on a plan that never runs out.

    ``keys[tenant, preset, environment]`` are whole keys.
    """

    process: ServerProcess
    keys: dict[tuple[str, str, str], str]

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.process.url

    def key(self, tenant: str = "alpha", preset: str = "manager", environment: str = "live") -> str:
        """One of the keys."""
        return self.keys[tenant, preset, environment]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    """A real ``aitbc serve`` process on a free port; its tenants and keys are made by operators' commands."""
    folder = tmp_path_factory.mktemp("server") / "data"
    # Wrong keys are the subject of many tests: their guesses are not slowed down.
    with running("serve", data_dir=folder, variables={"AITBC_MAX_FAILURES_PER_MINUTE": "1000000"}) as process:
        process.admin("create-plan", "--id", PLAN, "--limit-per-minute", "1000000")
        keys = {}
        for tenant in ("alpha", "beta"):
            process.create_tenant(tenant, PLAN)
        for wanted in (
            ("alpha", "manager", "live"),
            ("alpha", "client", "live"),
            ("alpha", "miner", "live"),
            ("alpha", "gateway", "live"),
            ("alpha", "manager", "test"),
            ("beta", "manager", "live"),
        ):
            keys[wanted] = process.create_key(*wanted)
        yield SharedServer(process, keys)
