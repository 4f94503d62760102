"""A small real HTTP server on loopback that hands out jobs to a miner, leases and all that is told to go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.sdk.samples import RECEIPT, problem

Reply = tuple[int, dict[str, Any] | None]


@dataclass
class Marketplace:
    """Jobs to hand out, and what came back. ``fail`` maps a path's end to replies that are given first."""

    url: str = ""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    fail: dict[str, list[Reply]] = field(default_factory=dict)
    registrations: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    longest_poll_s: float = 0.2
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def offer(self, job_id: str, payload: dict[str, Any]) -> None:
        """Put a job into the queue."""
        with self.changed:
            self.jobs.append({"job_id": job_id, "payload": payload, "constraints": {}})
            self.changed.notify_all()

    def wait_for(self, condition: Any, timeout_s: float = 10.0) -> None:
        """Block until ``condition()`` holds."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), self

    def answer(self, path: str, body: Any) -> Reply:
        """What the API would say to this call."""
        *_, first, last = path.split("/")
        with self.changed:
            self.changed.notify_all()
            if self.fail.get(last):
                return self.fail[last].pop(0)
            if last == "register":
                self.registrations.append(body)
                return 200, {"status": "ok", "session_token": "s"}
            if last == "heartbeat":
                self.heartbeats.append(body)
                return 200, {"status": "ok"}
            if last == "poll":
                self.changed.wait_for(lambda: self.jobs, min(body["max_wait_seconds"], self.longest_poll_s))
                return (200, self.jobs.pop(0)) if self.jobs else (204, None)
            return self._outcome(first, last, body)

    def _outcome(self, job_id: str, kind: str, body: Any) -> Reply:
        if job_id in self.results or job_id in self.failures:
            return 409, problem(409, "conflict")
        if kind == "result":
            self.results[job_id] = body
            return 200, {"status": "ok", "receipt": {**RECEIPT, "job_id": job_id}}
        self.failures[job_id] = body
        return 200, {"status": "ok"}


@contextmanager
def marketplace(port: int = 0, state: Marketplace | None = None) -> Iterator[Marketplace]:
    """A server for the time of the block; with ``port`` and ``state`` one that comes back."""
    market = state or Marketplace()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = market.answer(urlsplit(self.path).path, body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response_only(status)
            if answer is not None:
                self.send_header("Content-Length", str(len(content)))
            # One request a connection: a server that stopped must not go on through an open one.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    class Listener(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A miner that gave up a poll broke the connection; that is its right."""

    listener = Listener(("127.0.0.1", port), Handler)
    market.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield market
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
