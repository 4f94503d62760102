"""The open-loop generator: latency counts from when a request was due, and every request counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import pytest
from bench.common import open_loop
from bench.common.wrk import LoadError, Request

STALL_S = 0.3


class _Answers(BaseHTTPRequestHandler):
    """200 for /good, also for /stall after a while; no length for /endless; else 404."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/stall":
            time.sleep(STALL_S)
        self.send_response(200 if self.path in {"/good", "/stall", "/endless"} and self.headers["X-API-Key"] else 404)
        if self.path != "/endless":
            self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"good")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    # The generator opens all of its connections at once.
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: a run that has failed leaves at once, whoever still answers."""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of such a server."""
    with _Server(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_arrivals_have_the_rate_and_repeat() -> None:
    """At 200 a second, 30 seconds bring about 6,000 requests, in order, and the same ones for the same seed."""
    due_s = open_loop.due_times(200, 30, seed=1)
    assert len(due_s) == pytest.approx(6000, rel=0.05)
    assert due_s == sorted(due_s)
    assert due_s[-1] < 30
    assert open_loop.due_times(200, 30, seed=1) == due_s
    assert open_loop.due_times(200, 30, seed=2) != due_s


def test_every_request_is_answered(port: int) -> None:
    """Each has a latency, and none was sent before it was due."""
    due_s = open_loop.due_times(100, 0.5, seed=1)
    answered = open_loop.run(port, [Request("/good", "a-key")], due_s, seed=1)
    assert len(answered.latency_s) == len(due_s)
    assert min(answered.late_s) >= 0
    assert min(answered.latency_s) > 0


def test_a_slow_answer_does_not_hold_the_others_back(port: int) -> None:
    """Requests are sent when they are due, whoever still waits: 10 stalls side by side take as long as one."""
    answered = open_loop.run(port, [Request("/stall", "a-key")], [0.0] * 10, seed=1)
    assert median(answered.latency_s) >= STALL_S
    assert max(answered.latency_s) < 5 * STALL_S


def test_a_request_that_must_wait_for_a_connection_is_slow(port: int) -> None:
    """Where all connections are in use, the time that a request waits is part of its latency: nothing is left out."""
    answered = open_loop.run(port, [Request("/stall", "a-key")], [0.0] * 65, seed=1)
    assert max(answered.latency_s) >= 2 * STALL_S
    assert max(answered.late_s) >= STALL_S


@pytest.mark.parametrize(("path", "said"), [("/bad", "404"), ("/endless", "how long")])
def test_a_wrong_answer_fails_the_run(port: int, path: str, said: str) -> None:
    """A refusal is quicker than an answer, and an answer without an end cannot be timed."""
    with pytest.raises(LoadError, match=said):
        open_loop.run(port, [Request(path, "a-key")], [0.0, 0.01], seed=1)
