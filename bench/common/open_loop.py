"""A load generator that sends at a given rate, whatever the answers do: latency as a crowd of strangers sees it.

Every request is due at a moment that was drawn beforehand, and its latency counts from that moment: where a server
stalls, the requests that wait for it are all slow, and none is left out. It never sleeps, because a process that does
wakes up late: it takes a whole core.
"""

from __future__ import annotations

import gc
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.common.wrk import LoadError, Request

_CONNECTIONS = 64
_END = b"\r\n\r\n"
# Longer than any answer takes that is worth measuring.
_PATIENCE_S = 10.0


class Answered(NamedTuple):
    """Of each request: by how much it was sent late, and when its answer was there; in seconds from when it was due."""

    late_s: list[float]
    latency_s: list[float]


def due_times(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrivals of strangers, in seconds from the start: a Poisson process of ``rate`` a second."""
    drawn = random.Random(seed)  # noqa: S311
    times, at_s = [], 0.0
    while (at_s := at_s + drawn.expovariate(rate)) < seconds:
        times.append(at_s)
    return times


def run(port: int, requests: Sequence[Request], due_s: Sequence[float], *, seed: int) -> Answered:
    """Send a request, drawn from ``requests``, at each of the due times. Raises LoadError for any answer but 200."""
    drawn = random.Random(seed).choices([_bytes(each) for each in requests], k=len(due_s))  # noqa: S311
    with _connections(port) as connections, _no_garbage_collection():
        return _Run(connections, drawn, due_s).all()


class _Connection:
    """One connection, and the request that it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = 0
        self._received = b""

    def begin(self, request: int, text: bytes) -> None:
        """Send a request; a few hundred bytes always fit into the socket's buffer."""
        self.request, self._received = request, b""
        self.socket.sendall(text)

    def is_answered(self) -> bool:
        """Read what is there: whether the answer is whole. Raises LoadError for any but 200, and for none."""
        part = self.socket.recv(65536)
        self._received += part
        head, end, body = self._received.partition(_END)
        if not part or (end and not head.startswith(b"HTTP/1.1 200")):
            raise LoadError(f"a request was answered with {self._received[:200]!r}")
        return bool(end) and len(body) >= _content_length(head)


class _Run:
    """The loop."""

    def __init__(self, connections: Sequence[_Connection], texts: Sequence[bytes], due_s: Sequence[float]) -> None:
        self._by_number = {each.socket.fileno(): each for each in connections}
        self._idle = deque(connections)
        self._texts = texts
        self._due_s = due_s
        self._answered = Answered([0.0] * len(texts), [0.0] * len(texts))

    def all(self) -> Answered:
        """Every request, each at its time."""
        sent = done = 0
        with select.epoll() as poll:
            for number in self._by_number:
                poll.register(number, select.EPOLLIN)
            started_s = time.perf_counter()
            give_up_s = self._due_s[-1] + _PATIENCE_S if self._due_s else 0
            while done < len(self._texts):
                now_s = time.perf_counter() - started_s
                if sent < len(self._texts) and now_s >= self._due_s[sent] and self._idle:
                    self._send(sent, now_s)
                    sent += 1
                for number, _ in poll.poll(0):
                    done += self._receive(self._by_number[number], started_s)
                if now_s > give_up_s:
                    raise LoadError(f"{len(self._texts) - done} requests were not answered in {_PATIENCE_S:.0f} s")
        return self._answered

    def _send(self, request: int, now_s: float) -> None:
        self._answered.late_s[request] = now_s - self._due_s[request]
        self._idle.popleft().begin(request, self._texts[request])

    def _receive(self, connection: _Connection, started_s: float) -> int:
        if not connection.is_answered():
            return 0
        request = connection.request
        self._answered.latency_s[request] = time.perf_counter() - started_s - self._due_s[request]
        self._idle.append(connection)
        return 1


def _bytes(request: Request) -> bytes:
    key = f"X-API-Key: {request.key}\r\n" if request.key else ""
    return f"GET {request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}\r\n".encode("ascii")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise LoadError(f"an answer does not say how long it is: {head[:200]!r}")


@contextmanager
def _connections(port: int) -> Iterator[list[_Connection]]:
    opened: list[_Connection] = []
    try:
        opened.extend(_Connection(port) for _ in range(_CONNECTIONS))
        yield opened
    except OSError as error:
        raise LoadError(f"a connection failed: {error}") from error
    finally:
        for each in opened:
            each.socket.close()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
