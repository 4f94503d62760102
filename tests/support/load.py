"""Many clients of real servers, in this process: cheap enough that the servers are what is loaded.

Each connection sends one request at a time and notes when it began and when its answer was there, on this machine's
clock, which is the store's and the servers' too.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One answered request; times in seconds since the epoch."""

    began_s: float
    ended_s: float
    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """What a refusal says; "allowed" for everything that the gate let pass."""
        return str(self.json["code"]) if self.status in {401, 403, 429, 503} else "allowed"

    @property
    def took_s(self) -> float:
        """From the first byte sent to the last one received."""
        return self.ended_s - self.began_s


class UnansweredError(Exception):
    """The connection ended before the answer; ``sent`` says whether the request may have been read."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("no answer")
        self.sent = sent


#: Servers close a connection that lies idle for longer (75 s: ``serving/listener.py``), and a request may meet that.
_MOST_IDLE_S = 60


class HttpClient:
    """One kept-alive connection to one server, opened when it is needed and again after it was lost or lay idle.

    ``name`` and ``tls`` are for a server that is reached by TLS under that name.
    """

    def __init__(self, port: int, *, name: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._name = name
        self._tls = tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used_s = 0.0

    async def ask(
        self,
        key: str,
        path: str = "/v1/api-keys/self",
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. Raises UnansweredError."""
        text = b"" if body is None else json.dumps(body).encode()
        verb = method or ("GET" if body is None else "POST")
        head = f"{verb} {path} HTTP/1.1\r\nhost: {self._name}\r\nx-api-key: {key}\r\ncontent-length: {len(text)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        request = head.encode() + (b"content-type: application/json\r\n\r\n" if text else b"\r\n") + text
        began_s = time.time()
        sent = False
        if began_s - self._used_s > _MOST_IDLE_S:
            self.close()
        self._used_s = began_s
        try:
            if self._streams is None:
                name = self._name if self._tls else None
                self._streams = await asyncio.open_connection(
                    "127.0.0.1", self.port, ssl=self._tls, server_hostname=name
                )
            reader, writer = self._streams
            sent = True
            writer.write(request)
            answer_head = await reader.readuntil(b"\r\n\r\n")
            lowered = answer_head.lower()
            _, found, length = lowered.partition(b"content-length: ")
            answer_body = await reader.readexactly(int(length.partition(b"\r\n")[0])) if found else b""
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise UnansweredError(sent=sent) from error
        except asyncio.CancelledError:
            self.close()
            raise
        if b"connection: close" in lowered:
            self.close()
        return Answer(began_s, time.time(), int(answer_head[9:12]), lowered, answer_body)

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Crowd:
    """Clients that ask for the same thing again and again, until they are told to stop."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, Answer]] = []
        self.unanswered: list[tuple[str, bool]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def add(self, name: str, port: int, key: str, path: str = "/v1/api-keys/self", *, pause_s: float = 0.0) -> None:
        """Another client; its answers are kept under ``name``."""
        self._tasks.append(asyncio.create_task(self._go_on(name, HttpClient(port), key, path, pause_s)))

    async def stop(self) -> None:
        """Every request that was begun ends. Raises what a client has met."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    def of(self, name: str) -> list[Answer]:
        """The answers that were kept under a name."""
        return [answer for kept, answer in self.answers if kept == name]

    async def _go_on(self, name: str, client: HttpClient, key: str, path: str, pause_s: float) -> None:
        while not self._stopping:
            try:
                self.answers.append((name, await client.ask(key, path)))
            except UnansweredError as error:
                self.unanswered.append((name, error.sent))
                await asyncio.sleep(0.05)
            if pause_s:
                await asyncio.sleep(pause_s)
        client.close()


class Timed(NamedTuple):
    """An answer of an open loop: to which node and under which name it was asked for, and when it was due."""

    node: int
    name: str
    due_s: float
    answer: Answer

    @property
    def latency_s(self) -> float:
        """From when it was due, so that none that had to wait is left out."""
        return self.answer.ended_s - self.due_s


class OpenLoop:
    """Asks at a fixed rate, whatever the answers do: each request is due, on the next node and for the next key."""

    def __init__(self, ports: Sequence[int], keys: Sequence[tuple[str, str]], rate: float) -> None:
        self._ports = ports
        self._keys = keys
        self._rate = rate
        self._idle: dict[int, list[HttpClient]] = {node: [] for node in range(len(ports))}
        self._stopping = False
        self._asking: set[asyncio.Task[None]] = set()
        self.answers: list[Timed] = []

    async def run(self) -> None:
        """Ask until ``stop``, and wait for what is still to be answered. Raises UnansweredError."""
        began_s, number = time.time(), 0
        while not self._stopping:
            due_s = began_s + number / self._rate
            await asyncio.sleep(max(due_s - time.time(), 0))
            self._asking.add(asyncio.create_task(self._ask(number, due_s)))
            number += 1
        await asyncio.gather(*self._asking)
        for client in (each for idle in self._idle.values() for each in idle):
            client.close()

    def stop(self) -> None:
        """Nothing new is asked for."""
        self._stopping = True

    async def _ask(self, number: int, due_s: float) -> None:
        node = number % len(self._ports)
        name, key = self._keys[number // len(self._ports) % len(self._keys)]
        client = self._idle[node].pop() if self._idle[node] else HttpClient(self._ports[node])
        self.answers.append(Timed(node, name, due_s, await client.ask(key)))
        self._idle[node].append(client)
