"""Reading the load generator: a run counts only when every answer was good."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.common import wrk
from bench.common.machine import CannotMeasureError, need_program

OUTPUT = """\
Running 5s test @ http://127.0.0.1:45123
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.59ms    1.02ms  20.10ms   92.31%
Requests/sec:  31616.53
{"requests":158083,"duration_us":5000000,"bytes":21499288,"p50_us":1590,"p99_us":5599,\
"connect":0,"read":0,"write":0,"timeout":0,"status":0}
"""


def test_the_count_is_read() -> None:
    """The script's line is found in wrk's output."""
    counted = wrk.parse(OUTPUT)
    assert counted.requests == 158_083
    assert counted.requests_per_s == pytest.approx(31_616.6)
    assert counted.p99_us == 5599
    assert not counted.faults()


@pytest.mark.parametrize("kind", ["connect", "read", "write", "timeout", "status"])
def test_any_fault_is_named(kind: str) -> None:
    """An error answer, and each kind of socket error, shows."""
    counted = wrk.parse(OUTPUT.replace(f'"{kind}":0', f'"{kind}":7'))
    assert counted.faults().startswith("7 ")


@pytest.mark.parametrize(
    "output", ["", "Requests/sec: 12.0\n", "{}\n", OUTPUT.replace("158083", "0"), OUTPUT.replace("158083", '"many"')]
)
def test_output_without_a_count_is_no_measurement(output: str) -> None:
    """Nothing is guessed from an output that was not understood, or in which nothing was answered."""
    with pytest.raises(wrk.LoadError):
        wrk.parse(output)


@pytest.mark.parametrize(("share", "bound"), [(0.5, False), (0.949, False), (0.95, True), (1.0, True)])
def test_a_busy_generator_is_marked(share: float, bound: bool) -> None:
    """At 95 % of its core the generator may have set the pace."""
    assert wrk.Load(wrk.parse(OUTPUT), share).generator_bound is bound


def test_requests_are_written_as_they_are_read(tmp_path: Path) -> None:
    """What the script draws from can be read back, without a key too."""
    requests = [wrk.Request("/v1/api-keys/self", "aitbc_live_x"), wrk.Request("/", "")]
    wrk.write_requests(tmp_path / "requests.txt", requests)
    assert wrk.read_requests(tmp_path / "requests.txt") == requests


def test_a_missing_program_is_named_with_its_remedy() -> None:
    """Without wrk the answer says what to install."""
    with pytest.raises(CannotMeasureError, match=r"no-such-program is missing\. hint: apt-get install it"):
        need_program("no-such-program", "apt-get install it")
