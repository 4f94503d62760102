"""The load generator, wrk: run on its own core, its count read, its own share of the processor measured."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.common.machine import need_program, pinned

CONNECTIONS = 64
# A slow system that has 64 requests waiting answers each late: that is slow, and no fault.
TIMEOUT_S = 20
# At this share of its core, wrk may have been what set the pace.
BOTTLENECK_SHARE = 0.95

_SCRIPT = Path(__file__).with_name("random_request.lua")


class LoadError(Exception):
    """The load run does not count: wrk failed, or an answer was missing or not 2xx."""


class Request(NamedTuple):
    """One request that may be drawn: a GET of ``path`` with ``key`` in X-API-Key ("": no such header)."""

    path: str
    key: str


class Counted(msgspec.Struct, frozen=True):
    """What wrk counted; ``status`` is the number of answers above 399, the others are socket errors."""

    requests: int
    duration_us: int
    bytes: int
    p50_us: int
    p99_us: int
    connect: int
    read: int
    write: int
    timeout: int
    status: int

    @property
    def requests_per_s(self) -> float:
        """Answers in a second."""
        return self.requests * 1e6 / self.duration_us

    def faults(self) -> str:
        """What went wrong, in words; "" when nothing did."""
        counts = {
            "answers that are not 2xx": self.status,
            "connections refused": self.connect,
            "read errors": self.read,
            "write errors": self.write,
            "timeouts": self.timeout,
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


class Load(NamedTuple):
    """One run of the generator, and the share of one core that the generator itself took."""

    counted: Counted
    cpu_share: float

    @property
    def generator_bound(self) -> bool:
        """Whether the generator may have been the bottleneck."""
        return self.cpu_share >= BOTTLENECK_SHARE


def need_wrk() -> str:
    """Where wrk is. Raises CannotMeasureError with the remedy."""
    return need_program("wrk", "apt-get install wrk")


def version(wrk: str) -> str:
    """``4.1.0``; it prints its version with the usage text, and exits 1."""
    words = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False).stdout.split()
    return words[1].removeprefix("debian/") if len(words) > 1 else "unknown"


def write_requests(path: Path, requests: Iterable[Request]) -> None:
    """The file that the script draws from."""
    path.write_text("".join(f"{request.path}\t{request.key}\n" for request in requests), encoding="ascii")


def read_requests(path: Path) -> list[Request]:
    """What ``write_requests`` wrote."""
    return [Request(*line.split("\t")) for line in path.read_text(encoding="ascii").splitlines()]


def load(url: str, requests: Path, *, seconds: int, core: int, seed: int) -> Load:
    """Load ``url`` for ``seconds`` (wrk knows whole ones only) with requests drawn from a file.

    Raises LoadError for any answer that is not 2xx (3xx is caught by the caller's probe: wrk lets it pass) and
    any socket error.
    """
    command = [need_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", "-s", str(_SCRIPT)]
    cpu_before_s, started = _children_cpu_s(), time.monotonic()
    with pinned(core):
        done = subprocess.run(
            [*command, url, "--", str(requests), str(seed)], capture_output=True, text=True, check=False
        )
    cpu_share = (_children_cpu_s() - cpu_before_s) / (time.monotonic() - started)
    if done.returncode != 0:
        raise LoadError(f"wrk exited with {done.returncode}: {done.stderr.strip()}")
    counted = parse(done.stdout)
    if counted.faults():
        raise LoadError(f"of {counted.requests} requests to {url}: {counted.faults()}")
    return Load(counted, cpu_share)


def parse(output: str) -> Counted:
    """The script's line in wrk's output. Raises LoadError where there is none, or nothing was answered."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    try:
        counted = msgspec.json.decode(lines[-1], type=Counted)
    except (IndexError, msgspec.DecodeError) as error:
        raise LoadError(f"wrk's output has no count in it: {output.strip()[-500:]!r}") from error
    if not counted.requests:
        raise LoadError(f"no request was answered ({counted.faults() or 'no error'})")
    return counted


def _children_cpu_s() -> float:
    """Processor time of the children that have ended, in seconds; servers still run, so a difference is wrk's alone."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
