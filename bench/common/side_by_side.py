"""Two or more servers on one core, loaded in turn from another core, with the same requests."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.common import wrk
from bench.common.goals import Goal
from bench.common.machine import pinned
from bench.common.options import Options
from bench.common.processes import Server
from bench.common.results import Outcome, Round
from bench.common.rounds import ratio_of_medians, run_alternating

# Below this share of its core, the pace was not set by the system's own work.
BUSY_SHARE = 0.9

_PRIMING_CONNECTIONS = 8


class Side(NamedTuple):
    """A running system and the requests that it is loaded with."""

    server: Server
    requests: Sequence[wrk.Request]


def compare(goal: Goal, sides: Mapping[str, Side], options: Options, *, folder: Path, core: int) -> Outcome:
    """The ratio of the first side's median to the second's, in requests/s, and every round of all sides as it was.

    See ``alternating``.
    """
    subject, base = list(sides)[:2]
    return outcome(goal, alternating(sides, options, folder=folder, core=core), subject, base, *list(sides)[2:])


def alternating(sides: Mapping[str, Side], options: Options, *, folder: Path, core: int) -> dict[str, list[Round]]:
    """The rounds of each side, taken in turn.

    Every request is sent once before anything is measured, so that all sides have in memory what they keep there,
    and so that each is seen to be answered 200. ``folder`` takes the files that wrk reads; wrk runs on ``core``.
    Raises LoadError where any answer is not 2xx or any socket fails.
    """
    servers = [side.server for side in sides.values()]
    measures = {}
    for number, (name, side) in enumerate(sides.items()):
        drawn_from = folder / f"requests-{number}.txt"
        wrk.write_requests(drawn_from, side.requests)
        with side.server.alone(servers), _told_by(name, side.server):
            with pinned(core):
                prime(side.server.port, side.requests)
            wrk.load(side.server.url, drawn_from, seconds=options.warm_up_s, core=core, seed=0)
        measures[name] = partial(_round, name, side.server, servers, drawn_from, options.seconds, core)
    return run_alternating(measures, options.rounds)


@contextmanager
def _told_by(name: str, server: Server) -> Iterator[None]:
    """Add to a LoadError what the server said: it knows why."""
    try:
        yield
    except wrk.LoadError as error:
        raise wrk.LoadError(f"{name}: {error}; it said: {server.said()}") from error


def outcome(goal: Goal, taken: Mapping[str, list[Round]], subject: str, base: str, *beside: str) -> Outcome:
    """The ratio of two sides' medians, in requests/s; the rounds of those ``beside`` them are kept, too."""
    speeds = {name: [each["requests_per_s"] for each in taken[name]] for name in (subject, base)}
    shown = [taken[name] for name in (subject, base, *beside)]
    rounds = [each for turn in zip(*shown, strict=True) for each in turn]
    return Outcome(goal, ratio_of_medians(speeds[subject], speeds[base]), rounds, remarks(rounds))


def remarks(rounds: Sequence[Round]) -> list[str]:
    """What a reader of the ratio must know: rounds in which something else than the system set the pace."""
    bound = [each for each in rounds if each.get("generator_bound")]
    starved = [each for each in rounds if each["system_cpu_share"] < BUSY_SHARE and not each.get("generator_bound")]
    found = []
    if bound:
        found.append(
            f"{_some(bound, rounds)} the load generator was the bottleneck: what it loaded is faster than shown."
        )
    if starved:
        found.append(
            f"{_some(starved, rounds)} the system had less than {BUSY_SHARE:.0%} of its core: "
            "others were at work on it, or it waited for something."
        )
    return found


def _some(chosen: Sequence[Round], rounds: Sequence[Round]) -> str:
    names = ", ".join(dict.fromkeys(each["system"] for each in chosen))
    return f"In {len(chosen)} of {len(rounds)} rounds ({names})"


def prime(port: int, requests: Sequence[wrk.Request]) -> None:
    """Send every request once over a few connections. Raises LoadError where one is not answered 200."""
    parts = [requests[start::_PRIMING_CONNECTIONS] for start in range(_PRIMING_CONNECTIONS)]
    with ThreadPoolExecutor(_PRIMING_CONNECTIONS) as pool:
        list(pool.map(partial(_send_all, port), [part for part in parts if part]))


def _send_all(port: int, requests: Sequence[wrk.Request]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        for request in requests:
            connection.request("GET", request.path, headers={"X-API-Key": request.key} if request.key else {})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise wrk.LoadError(f"GET {request.path} answered {response.status}: {body[:500].decode()}")
    except (OSError, http.client.HTTPException) as error:
        raise wrk.LoadError(f"a request got no answer: {error!r}") from error
    finally:
        connection.close()


def _round(
    name: str, server: Server, servers: Sequence[Server], requests: Path, seconds: int, core: int, number: int
) -> Round:
    with server.alone(servers):
        used_before_s = server.cpu_s()
        load = wrk.load(server.url, requests, seconds=seconds, core=core, seed=number + 1)
        used_s = server.cpu_s() - used_before_s
    counted = load.counted
    return {
        "round": number + 1,
        "system": name,
        "requests": counted.requests,
        "seconds": round(counted.duration_us / 1e6, 3),
        "requests_per_s": round(counted.requests_per_s, 1),
        "requests_a_cpu_second": round(counted.requests / used_s) if used_s else 0,
        "p50_ms": counted.p50_us / 1000,
        "p99_ms": counted.p99_us / 1000,
        "bytes_a_response": round(counted.bytes / counted.requests),
        "generator_cpu_share": round(load.cpu_share, 3),
        "generator_bound": load.generator_bound,
        "system_cpu_share": round(used_s * 1e6 / counted.duration_us, 3),
    }
