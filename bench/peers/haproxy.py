"""HAProxy: a map of the keys' SHA-256, a stick table for the tenants' rates.

Best configuration: one thread on one core, no log, connections kept alive. Its rate is a sliding estimate of two
periods, not an exact window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench.common.processes import Server, free_port, running
from bench.peers import debian

NAME = "haproxy"

PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-8-0")

_CONFIG = """\
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout client 600s
    timeout server 600s
    timeout connect 5s
    timeout http-keep-alive 600s
frontend check
    bind 127.0.0.1:{port} backlog 1024
    stick-table type string len 32 size 200k expire 2m store http_req_rate(60s)
    http-request return status 200 if {{ path / }}
    http-request set-var(txn.tenant) req.hdr(x-api-key),sha2(256),hex,map_str({keys})
    http-request return status 401 unless {{ var(txn.tenant) -m found }}
    http-request track-sc0 var(txn.tenant)
    http-request return status 429 if {{ sc0_http_req_rate gt {limit} }}
    http-request set-var(txn.rate) sc0_http_req_rate
    http-request return status 200 content-type application/json string '{{"ok":true}}' hdr X-RateLimit-Limit {limit} \
hdr X-RateLimit-Remaining %[int({limit}),sub(txn.rate)] hdr X-RateLimit-Reset 60
"""

_LIMIT = 10_000_000


def installed() -> Path:
    """HAProxy, unpacked. Raises MissingPeerError."""
    return debian.unpacked(NAME, PACKAGES)


def versions() -> dict[str, str]:
    """Of what is installed."""
    return debian.versions(installed(), ["haproxy"])


def running_haproxy(known: Iterable[Sequence[str]], folder: Path, *, core: int) -> AbstractContextManager[Server]:
    """Run it on ``core``. ``known`` are key and tenant, for each key; ``folder`` is its own."""
    root, port = installed(), free_port()
    folder.mkdir(exist_ok=True)
    keys, config = folder / "keys.map", folder / "haproxy.cfg"
    lines = [f"{hashlib.sha256(key.encode()).hexdigest().upper()} {tenant}\n" for key, tenant in known]
    keys.write_text("".join(lines), encoding="ascii")
    config.write_text(_CONFIG.format(port=port, keys=keys, limit=_LIMIT), encoding="utf-8")
    return running(
        [str(root / "usr/sbin/haproxy"), "-db", "-f", str(config)],
        core=core,
        port=port,
        env={"LD_LIBRARY_PATH": debian.library_path(root)},
    )
