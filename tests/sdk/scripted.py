"""A real HTTP server on loopback that answers from a script and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. ``body`` is sent as it is when it is bytes, else as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The bytes of the body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer."""


class Hang:
    """Never answer, until the server is closed."""


@dataclass(frozen=True)
class Recorded:
    """One request as it came over the wire. ``target`` is undecoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The undecoded path."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, each given once."""
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True, strict_parsing=True)
        return {name: value for name, (value,) in pairs.items()} if pairs else {}

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


Step = Answer | Drop | Hang


class ScriptedServer:
    """Answers each request with the next step of its script; one more than scripted is answered 599."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: list[Step] = []
        self.requests: list[Recorded] = []
        self.closing = threading.Event()

    def answers(self, *steps: Step) -> None:
        """Put ``steps`` at the end of the script."""
        self.script.extend(steps)

    @property
    def last(self) -> Recorded:
        """The latest request."""
        return self.requests[-1]


def _handler(serve: Callable[[BaseHTTPRequestHandler], None]) -> type[BaseHTTPRequestHandler]:
    methods = {f"do_{name}": serve for name in ("GET", "POST", "PATCH")}
    return type(
        "Handler",
        (BaseHTTPRequestHandler,),
        {**methods, "protocol_version": "HTTP/1.1", "log_message": lambda *_: None, "timeout": 5, "wbufsize": -1},
    )


class _Listener(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that was told to stop broke the connection; that is its right."""


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """A server for the time of the block."""

    def serve(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        server.requests.append(Recorded(handler.command, handler.path, headers, body))
        step = server.script.pop(0) if server.script else Answer(b"script is over", 599)
        if isinstance(step, Answer):
            _send(handler, step)
            return
        if isinstance(step, Hang):
            server.closing.wait(5)
        handler.close_connection = True

    listener = _Listener(("127.0.0.1", 0), _handler(serve))
    server = ScriptedServer(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    content = answer.content()
    handler.send_response_only(answer.status)
    for name, value in {"Content-Type": "application/json", **answer.headers}.items():
        handler.send_header(name, value)
    if answer.status != 204:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
