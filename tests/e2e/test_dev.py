"""``aitbc dev`` as a newcomer meets it: one command, keys that stay, a miner that works, nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.processes import START_S, ServerProcess, environment, running, start

from aitbc import AITBCClient

OWN_CLIENT_KEY = "my-own-client-key"
OWN_MINER_KEY = "my own miner's key"


def dev(folder: Path, *options: str, cold: bool = False, variables: Mapping[str, str] | None = None) -> Any:
    """``aitbc dev`` on any free port, ready."""
    arguments = ("--port", "0", "--data-dir", str(folder), *options)
    return running("dev", *arguments, data_dir=folder, variables=variables, cold=cold)


def cpu_s(pid: int) -> float:
    """The seconds of processor time that a process took so far, as ``ps`` prints them: 1-02:03:04 with days."""
    shown = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    days, _, rest = shown.strip().rpartition("-")
    parts = [float(part) for part in rest.split(":")]
    return 86400 * float(days or 0) + sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def loaded(folder: Path) -> dict[str, str]:
    """What a shell has after loading ``dev.env``."""
    command = f"set -a; . {shlex.quote(str(folder / 'dev.env'))}; env -0"
    shell = subprocess.run(["sh", "-c", command], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    pairs = (entry.partition("=") for entry in shell.stdout.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs if name.endswith("_API_KEY") or name.startswith("AITBC_")}


def miner_pids(server: ServerProcess) -> list[int]:
    """The processes of the server's local miner."""
    # Without -ww the lines end where the terminal's would, if the environment tells of one.
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listed.splitlines()[1:])
    return [
        int(pid) for pid, ppid, args in rows if "dev.miner_process" in args and int(ppid) in {server.process.pid, 1}
    ]


def alive(pid: int) -> bool:
    """Whether there is such a process, and not just its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_from_nothing_to_a_finished_job(tmp_path: Path) -> None:
    """One command, at most 10 s; then a job that the SDK submits is run by the local miner."""
    folder = tmp_path / "a clone" / ".aitbc"
    with dev(folder, cold=True) as server:
        # It waits for nothing, so that this is how long a person waits on a machine with nothing else to do.
        assert cpu_s(server.process.pid) < 10
        given = loaded(folder)
        assert given["AITBC_BASE_URL"] == server.url
        assert given["AITBC_TENANT_ID"] == "test-tenant"
        assert given["AITBC_API_KEY"] == given["MANAGER_API_KEY"]
        assert stat.S_IMODE((folder / "dev.env").stat().st_mode) == 0o600
        assert (folder / ".gitignore").read_text(encoding="utf-8") == "*\n"
        for variable, preset in (("CLIENT", "client"), ("MINER", "miner"), ("MANAGER", "manager")):
            with AITBCClient(api_key=given[f"{variable}_API_KEY"], base_url=server.url) as client:
                me = client.api_keys.self()
            assert (me.key.preset, me.key.environment, me.tenant.id, me.tenant.plan) == (
                preset,
                "test",
                "test-tenant",
                "pro",
            )
        with AITBCClient(api_key=given["CLIENT_API_KEY"], base_url=server.url) as client:
            job = client.jobs.create({"type": "text-statistics", "text": "To be, or not to be."})
            assert client.jobs.wait_for_completion(job.job_id, timeout=20).state == "COMPLETED"
            result = client.jobs.result(job.job_id).result
        assert result is not None
        assert result["words"] == 6
        assert server.stop() == 0


def test_a_miner_of_ones_own_loses_no_job_to_the_local_one(tmp_path: Path) -> None:
    """Jobs of a type that only the other miner runs wait for it, also while it is busy; the local one goes on."""
    with dev(tmp_path / "dev") as server:
        given = loaded(server.data_dir)
        command = ("miners", "run", "--exec", "cat", "--miner-id", "m1", "--type", "echo")
        own = subprocess.Popen(
            [sys.executable, "-m", "aitbc", *command],
            env=environment(tmp_path, {**given, "AITBC_API_KEY": given["MINER_API_KEY"]}),
            stderr=subprocess.DEVNULL,
        )
        try:
            with AITBCClient(api_key=given["MANAGER_API_KEY"], base_url=server.url) as client:
                _within(lambda: {miner.miner_id for miner in client.miners.list()} == {"dev-miner", "m1"}, 60, server)
                payloads: list[dict[str, Any]] = [{"type": "echo", "n": number} for number in range(6)]
                payloads.append({"type": "text-statistics", "text": "one two"})
                jobs = [client.jobs.create(payload) for payload in payloads]
                ended = [client.jobs.wait_for_completion(job.job_id, timeout=60) for job in jobs]
        finally:
            own.kill()
            own.wait()
    assert [(job.state, job.assigned_miner_id) for job in ended] == [("COMPLETED", "m1")] * 6 + [
        ("COMPLETED", "dev-miner")
    ]


def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    """The lines of the banner load the keys, submit a job with curl and with Python, and print its result."""
    with dev(tmp_path / "dev data") as server:
        lines = server.text().splitlines()
        assert "Load the keys in another terminal (AITBC_API_KEY is the manager's):" in lines
        load = next(line for line in lines if line.startswith("set -a; "))
        curl = "\n".join(lines[lines.index("Submit a job with curl:") + 2 : lines.index("Or in Python:") - 1])
        python = "\n".join(line for line in lines if line.startswith(("from ", "client", "job ", "print")))
        script = f"{load}\n{curl}\n{shlex.quote(sys.executable)} - <<'END'\n{python}\nEND\n"
        pasted = subprocess.run(
            ["sh", "-c", script], env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60
        )
    assert pasted.returncode == 0, pasted.stderr
    by_curl, by_python = pasted.stdout.splitlines()
    assert json.loads(by_curl)["result"]["words"] == 10
    assert "'words': 10" in by_python


def test_a_later_start_keeps_the_keys(tmp_path: Path) -> None:
    """Keys that somebody has pasted somewhere go on working; a lost dev.env gives the same keys new secrets."""
    with dev(tmp_path / "dev", "--no-miner") as server:
        first = loaded(server.data_dir)
        assert server.stop() == 0
    with dev(tmp_path / "dev", "--no-miner") as server:
        second = loaded(server.data_dir)
        assert {**second, "AITBC_BASE_URL": ""} == {**first, "AITBC_BASE_URL": ""}
        assert server.stop() == 0
    (tmp_path / "dev" / "dev.env").unlink()
    with dev(tmp_path / "dev", "--no-miner") as server:
        third = loaded(server.data_dir)
        assert third["CLIENT_API_KEY"] != first["CLIENT_API_KEY"]
        assert third["CLIENT_API_KEY"][:24] == first["CLIENT_API_KEY"][:24], "the key id stays"
        with AITBCClient(api_key=third["MANAGER_API_KEY"], base_url=server.url) as client:
            assert len(list(client.api_keys.list())) == 3


def test_keys_from_the_environment_are_taken(tmp_path: Path) -> None:
    """Any text of 16 characters or more is a key; it is stored in dev.env, quoted, and kept."""
    variables = {"CLIENT_API_KEY": OWN_CLIENT_KEY, "MINER_API_KEY": OWN_MINER_KEY}
    with dev(tmp_path / "dev", variables=variables) as server:
        given = loaded(server.data_dir)
        assert (given["CLIENT_API_KEY"], given["MINER_API_KEY"]) == (OWN_CLIENT_KEY, OWN_MINER_KEY)
        with AITBCClient(api_key=OWN_CLIENT_KEY, base_url=server.url) as client:
            job = client.jobs.create({"type": "text-statistics", "text": "one two"})
            assert client.jobs.wait_for_completion(job.job_id, timeout=20).state == "COMPLETED"
        kept = given["MANAGER_API_KEY"]
        assert server.stop() == 0
    # As after `rm -rf .aitbc` in a shell that had loaded the keys of the folder before.
    with dev(tmp_path / "another", "--no-miner", variables={"CLIENT_API_KEY": kept}) as server:
        assert loaded(server.data_dir)["CLIENT_API_KEY"] == kept


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        (
            {"CLIENT_API_KEY": "short", "MINER_API_KEY": "tiny"},
            [
                "error: CLIENT_API_KEY: must have 16 to 512 characters",
                "error: MINER_API_KEY: must have 16 to 512 characters",
            ],
        ),
        (
            {"CLIENT_API_KEY": OWN_CLIENT_KEY, "MINER_API_KEY": OWN_CLIENT_KEY},
            ["error: MINER_API_KEY: this is the client key already: give each a text of its own"],
        ),
        ({"AITBC_LOG_LEVEL": "loud"}, ["error: AITBC_LOG_LEVEL: expected debug, info, warning or error; got 'loud'"]),
    ],
)
def test_keys_that_cannot_be_are_refused(tmp_path: Path, variables: dict[str, str], lines: list[str]) -> None:
    """One clear line each, exit code 2, and no key in the message."""
    server = start("dev", "--port", "0", "--data-dir", str(tmp_path / "dev"), data_dir=tmp_path, variables=variables)
    assert server.process.wait(START_S) == 2, server.text()
    assert [line for line in server.text().splitlines() if line.startswith("error")] == lines


def test_a_key_that_cannot_be_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """No folder, no database: the next start is as if this one had not been."""
    folder = tmp_path / "dev"
    server = start(
        "dev", "--port", "0", "--data-dir", str(folder), data_dir=tmp_path, variables={"CLIENT_API_KEY": "short"}
    )
    assert server.process.wait(START_S) == 2
    assert not folder.exists()


def test_a_key_that_was_regenerated_is_named(tmp_path: Path) -> None:
    """The shell that loaded dev.env before is told what it has, and what to do."""
    with dev(tmp_path / "dev", "--no-miner") as server:
        given = loaded(server.data_dir)
        with AITBCClient(api_key=given["CLIENT_API_KEY"], base_url=server.url) as client:
            key_id = client.api_keys.self().key.id
            client.api_keys.regenerate(key_id)
        assert server.stop() == 0
    variables = {"CLIENT_API_KEY": given["CLIENT_API_KEY"]}
    again = start("dev", "--port", "0", "--data-dir", str(tmp_path / "dev"), data_dir=tmp_path, variables=variables)
    assert again.process.wait(START_S) == 2
    told = [line for line in again.text().splitlines() if line.startswith(("error", "hint"))]
    assert told == [
        f"error: CLIENT_API_KEY: this is a former secret of {key_id}, which was regenerated since",
        f"hint: unset CLIENT_API_KEY, or load {tmp_path}/dev/dev.env again",
    ]


def test_sigkill_leaves_no_miner_and_the_port_is_free_at_once(tmp_path: Path) -> None:
    """The local miner ends with its server, however that ends, and is started again when it dies alone."""
    with dev(tmp_path / "dev") as server:
        (first,) = _within(lambda: miner_pids(server), START_S, server)
        os.kill(first, 9)
        (second,) = _within(lambda: [pid for pid in miner_pids(server) if pid != first], START_S, server)
        server.kill()
        with dev(tmp_path / "dev", "--port", str(server.port), "--no-miner") as again:
            assert again.port == server.port
            assert _within(lambda: not alive(second), 10, again)


def test_only_this_machine_is_answered(tmp_path: Path) -> None:
    """A page elsewhere that points its own name at 127.0.0.1 gets no answer (DNS rebinding)."""
    with dev(tmp_path / "dev", "--no-miner") as server:
        key = loaded(server.data_dir)["CLIENT_API_KEY"]
        hosts = {
            "localhost": 200,
            "127.0.0.1:1": 200,
            "[::1]:8000": 200,
            "evil.example.com": 400,
            "127.0.0.1.x.org": 400,
        }
        for host, status in hosts.items():
            answer = httpx2.get(f"{server.url}/v1/jobs", headers={"host": host, "x-api-key": key})
            assert answer.status_code == status, host
        assert server.url.startswith("http://127.0.0.1:")


def test_serve_refuses_keys_that_dev_made(tmp_path: Path) -> None:
    """Keys whose text stands in a file of a developer's folder open no real server; revoked ones do not matter."""
    with dev(tmp_path / "dev", "--no-miner") as server:
        assert server.stop() == 0
    refused = start("serve", data_dir=tmp_path / "dev")
    assert refused.process.wait(START_S) == 1
    first, hint = refused.text().splitlines()
    assert first.startswith("error: this database holds keys that `aitbc dev` made: key_")
    assert hint == "hint: name another folder with AITBC_DATA_DIR, or start `aitbc dev` and revoke them first"
    with dev(tmp_path / "dev", "--no-miner") as server:
        given = loaded(server.data_dir)
        with AITBCClient(api_key=given["MANAGER_API_KEY"], base_url=server.url) as client:
            own = client.api_keys.self().key.id
            for key in [*(key for key in client.api_keys.list() if key.id != own), client.api_keys.get(own)]:
                client.api_keys.revoke(key.id)
    with running("serve", data_dir=tmp_path / "dev", cold=True):
        pass


def test_output_json_is_one_object(tmp_path: Path) -> None:
    """A script reads the address and the keys from standard output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aitbc", "dev", "--port", "0", "--no-miner", "--output", "json"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = []
    while (line := process.stdout.readline()) != b"}\n":
        assert line, "it ended"
        lines.append(line)
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()
    assert sorted(json.loads(b"".join([*lines, b"}"]))) == [
        "AITBC_BASE_URL",
        "AITBC_TENANT_ID",
        "CLIENT_API_KEY",
        "MANAGER_API_KEY",
        "MINER_API_KEY",
    ]
    assert (tmp_path / ".aitbc" / "dev.env").exists()


def _within(found: Any, timeout_s: float, server: ServerProcess) -> Any:
    """What ``found`` returns as soon as it is true. Raises AssertionError after ``timeout_s``, with what it printed."""
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < deadline, server.text()
        time.sleep(0.05)
    return value
