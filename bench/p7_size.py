"""P7: what a check costs with many keys stored and in use, against few."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from bench.common import wrk
from bench.common.cache import made_once
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.results import Outcome
from bench.common.side_by_side import Side, compare
from bench.p1_check import PATH
from bench.servers.aitbc import running_aitbc

GOALS = (Goal("P7", "cost of a check: 1,000,000 keys stored and 100,000 in use, against 1,000", "<=", 1.15, "ratio"),)

# Of the 10,000 tenants that the method has: stored and in use on the one side, both on the other.
_STORED, _ACTIVE, _FEW = 100, 10, 0.1

_SOURCE = Path(__file__).parents[1]
# What a stored key is made by: where it changes, the database is made anew.
_MADE_BY = (
    "bench/seed.py",
    "src/aitbc/keyformat.py",
    "src/aitbc_server/api_keys/model.py",
    "src/aitbc_server/api_keys/credentials/digests.py",
)


def measure(options: Options) -> list[Outcome]:
    """The check of P1, in requests/s: the few over the many is what the many cost. Each key in use is in memory."""
    from bench.seed import seed

    cores = two_cores()
    wrk.need_wrk()
    many = _many(options.tenants * _STORED, options.tenants * _ACTIVE)
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
        folder = Path(temporary)
        # The server writes into its database: what is kept stays as it was made.
        shutil.copytree(many / "data", folder / "many")
        few = [wrk.Request(PATH, one.key) for one in seed(folder / "few", max(int(options.tenants * _FEW), 1))]
        with (
            running_aitbc(folder / "few", core=cores.system) as with_few,
            running_aitbc(folder / "many", core=cores.system) as with_many,
        ):
            sides = {
                "few keys": Side(with_few, few),
                "many keys": Side(with_many, wrk.read_requests(many / "requests.txt")),
            }
            return [compare(GOALS[0], sides, options, folder=folder, core=cores.generator)]


def _many(stored: int, active: int) -> Path:
    """The folder with a database of ``stored`` keys and the requests with ``active`` ones: made once, in minutes."""
    from aitbc_server.db.migrate import HEAD

    wanted = "\n".join([HEAD, *((_SOURCE / name).read_text(encoding="utf-8") for name in _MADE_BY)])
    return made_once(f"keys-{stored}-{active}", wanted, partial(_make, stored, active))


def _make(stored: int, active: int, folder: Path) -> None:
    from bench.seed import seed

    seeded = seed(folder / "data", stored, returned=active)
    wrk.write_requests(folder / "requests.txt", [wrk.Request(PATH, one.key) for one in seeded])
