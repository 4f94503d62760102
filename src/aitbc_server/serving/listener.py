"""The server's own listening socket, and Granian made to serve on it."""

from __future__ import annotations

import errno
import logging
import resource
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from aitbc_server.gate.asgi import AnswersEarly, App
from aitbc_server.host_port import host_port
from aitbc_server.serving.early import spawn
from aitbc_server.serving.errors import StartError
from aitbc_server.settings import reason

BACKLOG = 1024
# Files that the server needs beside its connections: databases, journals, logs.
_OTHER_FILES = 128
_FEWEST_CONNECTIONS = 32
_ANOTHER_PORT = (
    'stop that one, or choose another port: AITBC_PORT for `serve`, --port for `dev` (make run ARGS="--port 0")'
)

#: How long a connection may take for a request's headers, and how long it may lie idle. Longer than the 60 s after
#: which common proxies close an idle one: so it is they who close it, and no request meets a closing connection.
HEADERS_DEADLINE_MS = 75_000
# About as much as a request's headers may have in all; the longest of ours is a credential of half a kilobyte.
_MAX_HEADERS_BYTES = 64 * 1024


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises StartError where it is taken.

    Granian would share the port with whoever listens there already (SO_REUSEPORT), and half of the requests would
    go astray; this socket does not share. SO_REUSEADDR only lets a new server follow a killed one at once.
    """
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _bind_error(error, host, port) from error
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port that a socket is bound to."""
    host, port, *_ = listener.getsockname()
    return str(host), int(port)


class Listener(Server):
    """Granian in this process, on a socket that it did not make. Without a lifespan: that is run around it."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._own_socket = listener
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            http1_settings=HTTP1Settings(header_read_timeout=HEADERS_DEADLINE_MS, max_buffer_size=_MAX_HEADERS_BYTES),
            # Each long poll holds a connection: as many as there are files to be had. Those that come beyond wait to
            # be accepted, and the server goes on working with its own files.
            backpressure=max(_FEWEST_CONNECTIONS, _raise_file_limit() - _OTHER_FILES),
            log_enabled=False,
        )
        _take_over_log()

    async def serve(self, spawn_target: Callable[..., None] | None = None) -> None:  # type: ignore[override]
        """Serve until ``stop``. An app that has early answers is asked for them."""
        early: Any = spawn if isinstance(self.target, AnswersEarly) else None
        await super().serve(spawn_target or early)

    def _init_shared_socket(self) -> None:
        arguments: list[Any] = [self._own_socket.detach(), False]
        if sys.platform == "linux":
            # Here Granian calls listen() itself, when the worker starts; elsewhere it wants a listening socket.
            arguments.append(BACKLOG)
        else:
            listening = socket.socket(fileno=arguments[0])
            listening.listen(BACKLOG)
            listening.detach()
        self._ssp, self._shd = None, SocketHolder(*arguments)  # type: ignore[assignment]


def _bind_error(error: OSError, host: str, port: int) -> StartError:
    where = host_port(host, port)
    if error.errno == errno.EADDRINUSE:
        return StartError(f"{where} is taken by another program", hint=_ANOTHER_PORT)
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(f"{host} is no address of this machine", hint="AITBC_HOST=0.0.0.0 listens on all of them")
    if error.errno == errno.EACCES:
        return StartError(f"this user may not listen on port {port}", hint="ports below 1024 belong to root")
    return StartError(f"cannot listen on {where}: {reason(error)}")


def _raise_file_limit() -> int:
    """Allow this process as many open files as it may have, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _take_over_log() -> None:
    """Granian's errors go where ours go; its other lines say nothing that we do not."""
    logger = logging.getLogger("_granian")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.ERROR)
