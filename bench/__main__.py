"""``python -m bench``: measure, keep the figures, print a table. Exit 0: every goal that was asked for is met."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import runner
from bench.catalogue import GOAL_IDS, PEER_NAMES, wanted
from bench.common.options import Options

RESULTS = Path("bench/results.json")


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit code: 0 all met, 1 missed or not measured, 2 not understood."""
    given = parser().parse_args(arguments)
    # Whoever ends this ends the servers that it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not given.output.parent.is_dir():
        runner.say(f"error: there is no folder {given.output.parent} for {given.output.name}")
        return 2
    options = Options(given.seconds, given.rounds, given.warm_up, given.tenants, given.starts, given.peers)
    only = [*given.goals, *(given.only or [])] or None
    report = runner.run(wanted(only, options), options, shlex.join(["python", "-m", "bench", *arguments]))
    if report.results:
        runner.keep(given.output, report.results)
    print(report.text())
    return 0 if report.all_met else 1


def parser() -> argparse.ArgumentParser:
    """The command line's options; what is not given is the method as it stands."""
    default = Options()
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the speed goals. The machine should do nothing else meanwhile.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("goals", type=_goal_id, nargs="*", metavar="GOAL", help=f"some goals of {', '.join(GOAL_IDS)}")
    add("--only", type=_goal_ids, metavar="P1,P5", help="the same, in one word")
    add("--peers", type=_peers, metavar="nginx,...", help=f"some peers of {', '.join(PEER_NAMES)}")
    add("--seconds", type=_whole, default=default.seconds, metavar="S", help="length of a round")
    add("--rounds", type=_whole, default=default.rounds, metavar="N", help="rounds of each side")
    add("--warm-up", type=_whole, default=default.warm_up_s, metavar="S", help="load before the first round")
    add("--tenants", type=_whole, default=default.tenants, metavar="N", help="tenants, each with a key")
    add("--starts", type=_whole, default=default.starts, metavar="N", help="starts of each program for P9")
    add("--output", type=Path, default=RESULTS, metavar="FILE", help="keeps the figures, goal by goal")
    return made


def _goal_id(word: str) -> str:
    return _known("goal", GOAL_IDS, [word])[0]


def _goal_ids(text: str) -> list[str]:
    return _known("goal", GOAL_IDS, text.split(","))


def _peers(text: str) -> tuple[str, ...]:
    return tuple(_known("peer", PEER_NAMES, text.split(",")))


def _known(kind: str, names: Sequence[str], words: Sequence[str]) -> list[str]:
    given = [word.strip() for word in words]
    unknown = [word for word in given if word not in names]
    if unknown:
        raise argparse.ArgumentTypeError(f"no {kind} {', '.join(unknown)}: choose from {', '.join(names)}")
    return given


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
