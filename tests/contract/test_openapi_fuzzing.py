"""S6: an OpenAPI fuzzer against the real server, every route, every check, no failure."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, running
from tests.support.installation import HOME, api_routes
from tests.usage.world import Clock, Key, World

from aitbc.schemas.scopes import Scope
from aitbc_server.db.engine import Database

ROOT = Path(__file__).parents[2]
PLAN = "roomy"
IS_FULL = os.environ.get("AITBC_FULL") == "1"
EXAMPLES = 400 if IS_FULL else 15
# It takes 20 s by itself. What it finds it tries again and again to say shorter: that ends sometime, too.
MOST_S = 3600 if IS_FULL else 150

# Wrong keys are sent all the time: guesses must not be slowed down.
VARIABLES = {"AITBC_MAX_FAILURES_PER_MINUTE": "1000000"}

# The exceptions, each with its reason. Everything else is held against every check. What the fuzzer is taught of
# cursors, ranges, times and networks is in fuzzing_hooks.py.
CONFIG = """
base-url = "{url}"
continue-on-failure = true
# The fuzzer parses source text, which CPython 3.11 now and then fails to do in two threads at once.
workers = 1
# A busy machine is no fault of the server: neither an answer that takes long nor examples that do.
request-timeout = 60
suppress-health-check = ["all"]

# The same key by either scheme: two different ones would be ambiguous.
[auth.openapi.ApiKey]
api_key = "{key}"
[auth.openapi.Bearer]
bearer = "{key}"

# No schema can say that free-form JSON holds no NUL; tests/contract/test_bad_input.py sends it.
[generation]
allow-x00 = false
max-examples = {examples}

# A job that nobody runs is never final: 425 is the right answer.
[[operations]]
include-operation-id = "jobs.result"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "425"]

# The body is optional, but the fuzzer takes one that is left out for a wrong one.
[[operations]]
include-operation-id = "api_keys.regenerate"
checks.negative_data_rejection.expected-statuses = ["4xx", "200"]
[[operations]]
include-operation-id = "api_keys.revoke"
checks.negative_data_rejection.expected-statuses = ["4xx", "200"]
[[operations]]
include-operation-id = "jobs.cancel"
checks.negative_data_rejection.expected-statuses = ["4xx", "200"]

# No code that the fuzzer makes up is one, and one address may not ask for ever.
[[operations]]
include-operation-id = "device.token"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "429"]
[[operations]]
include-operation-id = "device.authorize"
checks.positive_data_acceptance.expected-statuses = ["2xx", "429"]
# An empty parameter counts as one that was left out (RFC 6749, 3.1), whatever its schema says.
checks.negative_data_rejection.expected-statuses = ["4xx", "200"]
"""


async def key_with_every_scope(data_dir: Path) -> Key:
    """No preset has all scopes, and no operator's command makes such a key."""
    database = Database(f"sqlite+aiosqlite:///{data_dir / 'aitbc.db'}")
    try:
        return await World(database, data_dir, Clock()).add_key(HOME, scopes=Scope)
    finally:
        await database.close()


def fuzz(server: ServerProcess, key: Key, folder: Path) -> subprocess.CompletedProcess[str]:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(url=server.url, key=key.text, examples=EXAMPLES), encoding="utf-8")
    # From a file: where it loads its description from, it does not test.
    description = folder / "openapi.json"
    description.write_bytes(httpx2.get(f"{server.url}/openapi.json").content)
    environment = {
        # The fuzzer is not measured: tracing it takes twice as long, and has stood still (see tests/garbage.py).
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        "FUZZING_KEY_ID": key.id,
        "PYTHONFAULTHANDLER": "1",
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.contract.fuzzing_hooks",
    }
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"]
    options = ["--no-color", "--checks", "all", "--seed", "20261124"]
    with subprocess.Popen(
        [*command, *options, str(description)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as fuzzer:
        try:
            output, errors = fuzzer.communicate(timeout=MOST_S)
        except subprocess.TimeoutExpired:
            # It says where each of its threads is.
            fuzzer.send_signal(signal.SIGABRT)
            output, errors = fuzzer.communicate(timeout=10)
        finally:
            fuzzer.kill()
    return subprocess.CompletedProcess(fuzzer.args, fuzzer.returncode, output, errors)


def findings(report: str) -> str:
    """The sections of its report that say what it found, the whole one if there are none."""
    found = re.search(
        r"^=+ (?:ERRORS|FAILURES) =+$.*?(?=^=+ (?:WARNINGS|SUMMARY) =+$)", report, re.DOTALL | re.MULTILINE
    )
    return found[0] if found else report


def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    """S6, ASVS 2.2.1, 4.1.1, 4.1.4, 16.5.4: all phases, all checks, over every route, 0 failures."""
    with running("serve", data_dir=tmp_path / "data", variables=VARIABLES) as server:
        server.admin("create-plan", "--id", PLAN, "--limit-per-minute", "10000000")
        server.create_tenant(HOME, PLAN)
        key = asyncio.run(key_with_every_scope(tmp_path / "data"))
        ran = fuzz(server, key, tmp_path)
        log = server.text()
    warned = [line for line in log.splitlines() if '"level": "info"' not in line]
    if ran.returncode != 0:
        pytest.fail("\n".join([*warned[-20:], ran.stderr[-6_000:], findings(ran.stdout)[:20_000]]), pytrace=False)
    assert re.search(rf"Tested: {len(api_routes())}\b", ran.stdout), ran.stdout[-3_000:]
    assert "Traceback" not in log
    # The key was good to the end: the run was not one long 401.
    assert "Authentication failed" not in ran.stdout
