"""``python -m bench.simulate``: ways of limiting over regions, compared in a simulation; ``--write`` into the page.

Everything is drawn from one seed: the same command prints the same figures everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.readme import with_table
from bench.simulation.compare import Figures, compare, run
from bench.simulation.plots import bars
from bench.simulation.trace import Load
from bench.simulation.world import Topology

PAGE = Path("docs/explanation/scale.md")
SEED = 20261124

# One region of two nodes, asked more and more.
BATCHED = "exact, one home store a tenant"
PACES = (1_000, 5_000, 10_000, 15_000, 20_000)
ONE_REGION = Topology(round_trips_s=((0.0005,),), nodes=2)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", action="store_true", help=f"put the tables and plots into {PAGE}")
    options = parser.parse_args()
    compared = compare(Load(), Topology(), options.seed)
    batches = batching(options.seed)
    text = f"{table(compared)}\n\n{batch_table(batches)}"
    print(text)
    if options.write:
        write(compared, text)


def batching(seed: int, paces: Sequence[int] = PACES) -> list[tuple[int, Figures]]:
    """Calls a request and added latency, by the requests/s that each of two nodes gets."""
    loads = [(pace, Load(requests_per_s=2.0 * pace, seconds=1.0, away=0.0)) for pace in paces]
    return [(pace, run(BATCHED, load, ONE_REGION, seed)) for pace, load in loads]


def table(compared: Sequence[Figures]) -> str:
    """The comparison, for a page."""
    headings = "way of limiting", "fullest window", "allowed over the limit", "tenants over it", "refused wrongly"
    lines = [
        _cells(*headings, "added p50", "added p99", "store calls a request"),
        _cells("---", *["---:"] * 7),
        *map(_comparison, compared),
    ]
    return "\n".join([*lines, "", f"{compared[0].requests:,} requests, the same for each."])


def _comparison(each: Figures) -> str:
    return _cells(
        each.name,
        f"{each.worst_window:.2f} N",
        f"{each.over:.1%}",
        f"{each.tenants_over}",
        f"{each.wrongly_refused:.1%}",
        f"{each.p50_s * 1000:.1f} ms",
        f"{each.p99_s * 1000:.0f} ms",
        f"{each.calls_a_request:.3f}",
    )


def _cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def batch_table(batches: Sequence[tuple[int, Figures]]) -> str:
    """The same for calls."""
    lines = [_cells("requests/s a node", "store calls a request", "added p50", "added p99"), _cells(*["---:"] * 4)]
    for pace, each in batches:
        times = f"{each.p50_s * 1000:.2f} ms", f"{each.p99_s * 1000:.2f} ms"
        lines.append(_cells(f"{pace:,}", f"{each.calls_a_request:.2f}", *times))
    return "\n".join(lines)


def write(compared: Sequence[Figures], text: str) -> None:
    """Rewrite the page's tables and its plots."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), text, PAGE.name), encoding="utf-8")
    over = [(each.name, each.worst_window) for each in compared]
    wrong = [(each.name, 100 * each.wrongly_refused) for each in compared]
    waits = [(each.name, 1000 * each.p99_s) for each in compared]
    for name, plot in (
        ("over", bars("Fullest 60 s of any tenant, as a multiple of its limit", over, ".2f", good_until=1, line_at=1)),
        ("wrong", bars("Requests refused although there was room, %", wrong, ".1f", good_until=0.1)),
        ("latency", bars("Added latency, p99, ms", waits, ".1f", good_until=10)),
    ):
        PAGE.with_name(f"scale-{name}.svg").write_text(plot, encoding="utf-8")


if __name__ == "__main__":
    main()
