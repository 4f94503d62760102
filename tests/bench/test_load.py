"""The load generator and the priming, against a real server that answers wrongly."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bench.common import wrk
from bench.common.machine import usable_cores
from bench.common.processes import Server, ServerError, free_port, running
from bench.common.side_by_side import prime

REQUESTS = [wrk.Request("/good", "a-key"), wrk.Request("/bad", "a-key"), wrk.Request("/moved", "a-key")]


class _Answers(BaseHTTPRequestHandler):
    """200 for /good with the key; 302 for /moved; else 429."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        good = self.path == "/good" and self.headers["X-API-Key"] == "a-key"
        self.send_response(200 if good else 302 if self.path == "/moved" else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of such a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None or not hasattr(os, "sched_setaffinity"), reason="wrk is missing: apt-get install wrk"
)


@needs_wrk
def test_good_answers_are_counted(port: int, tmp_path: Path) -> None:
    """The key travels in its header, and what was answered in a second is counted."""
    wrk.write_requests(tmp_path / "requests.txt", REQUESTS[:1])
    load = wrk.load(f"http://127.0.0.1:{port}", tmp_path / "requests.txt", seconds=1, core=0, seed=1)
    assert load.counted.requests > 0
    assert load.counted.duration_us == pytest.approx(1e6, rel=0.5)
    assert 0 < load.cpu_share < 1.1


@needs_wrk
def test_one_wrong_answer_fails_the_run(port: int, tmp_path: Path) -> None:
    """A refusal is quicker than an answer: a run with one in it counts for nothing."""
    wrk.write_requests(tmp_path / "requests.txt", REQUESTS[:2])
    with pytest.raises(wrk.LoadError, match="answers that are not 2xx"):
        wrk.load(f"http://127.0.0.1:{port}", tmp_path / "requests.txt", seconds=1, core=0, seed=1)


@needs_wrk
def test_a_server_that_is_not_there_fails_the_run(tmp_path: Path) -> None:
    """Nothing that answers is no result of zero."""
    wrk.write_requests(tmp_path / "requests.txt", REQUESTS[:1])
    with pytest.raises(wrk.LoadError):
        wrk.load(f"http://127.0.0.1:{free_port()}", tmp_path / "requests.txt", seconds=1, core=0, seed=1)


@pytest.mark.parametrize("wrong", REQUESTS[1:])
def test_priming_sees_every_request_answered(port: int, wrong: wrk.Request) -> None:
    """Each request is sent once, and anything but 200 is an error that names it: wrk lets a 302 pass."""
    prime(port, REQUESTS[:1] * 20)
    with pytest.raises(wrk.LoadError, match=f"GET {wrong.path} answered"):
        prime(port, [*REQUESTS[:1] * 20, wrong])


def test_a_server_that_does_not_start_says_why() -> None:
    """Its exit and its last words are in the error."""
    command = [sys.executable, "-c", "import sys; sys.exit('no folder')"]
    with pytest.raises(ServerError, match=r"(?s)exited with 1 .*no folder"), _running(command):
        raise AssertionError("it never was ready")


def test_a_server_is_ended_and_rests_when_another_is_measured() -> None:
    """While another one is measured its processes do nothing; at the end they are gone."""
    port, other_port = free_port(), free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    other_command = [*command[:-1], str(other_port)]
    with _running(command, port) as server:
        with server.alone([server]):
            assert server.status("/") == 200
        with _running(other_command, other_port) as other, other.alone([server, other]):
            used_s = server.cpu_s()
            with pytest.raises(TimeoutError):
                server.status("/", timeout_s=0.3)
            assert server.cpu_s() == used_s
        assert server.status("/") == 200
        assert used_s > 0
    with pytest.raises(OSError, match="refused"):
        server.status("/")


def _running(command: list[str], port: int = 0) -> AbstractContextManager[Server]:
    return running(command, core=max(usable_cores()), port=port or free_port(), ready_path="/")
