"""The limit headers, read by the grammar of structured fields (RFC 9651)."""

from __future__ import annotations

import re

import pytest
from tests.gate.factories import tenant

from aitbc_server.gate.headers import limit_headers, numbers, reset_s
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.store import Taken

_MEMBER = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]*)"((?:;[a-z]=[0-9]{1,15})+)')


def structured(field: str) -> dict[str, dict[str, int]]:
    """A list of strings with integer parameters, and nothing else."""
    members = {}
    for member in field.split(", "):
        match = _MEMBER.fullmatch(member)
        assert match, member
        members[match[1]] = {name: int(number) for name, number in (p.split("=") for p in match[2][1:].split(";"))}
    return members


def headers(limits: tuple[int, int | None], *levels: tuple[int, int]) -> dict[str, str]:
    """The headers of a request: plan's and key's own limit; remaining and reset in µs of each."""
    plan, own = limits
    taken = Taken(True, tuple(Verdict(True, remaining, reset, 0) for remaining, reset in levels), 0)
    made = limit_headers(limit_set(tenant(limit=plan, plan="pro"), "kid", own), taken, numbers(taken))
    assert len({name for name, _ in made}) == len(made)
    return {name.decode(): value.decode() for name, value in made}


def test_one_limit() -> None:
    """The documented example, to the letter."""
    assert headers((600, None), (599, 60_000_000)) == {
        "ratelimit-policy": '"pro";q=600;w=60',
        "ratelimit": '"pro";r=599;t=60',
        "x-ratelimit-limit": "600",
        "x-ratelimit-remaining": "599",
        "x-ratelimit-reset": "60",
    }


@pytest.mark.parametrize(
    ("plan_left", "own_left", "tightest"),
    [(5, 4, ("50", "4", "30")), (3, 4, ("600", "3", "60")), (4, 4, ("600", "4", "60"))],
)
def test_all_limits_are_listed_and_the_tightest_is_the_triple(
    plan_left: int, own_left: int, tightest: tuple[str, str, str]
) -> None:
    """Clients that read one number read the one that will stop them first."""
    made = headers((600, 50), (plan_left, 60_000_000), (own_left, 29_000_001))
    assert structured(made["ratelimit-policy"]) == {"pro": {"q": 600, "w": 60}, "key": {"q": 50, "w": 60}}
    assert structured(made["ratelimit"]) == {"pro": {"r": plan_left, "t": 60}, "key": {"r": own_left, "t": 30}}
    triple = tuple(made[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset"))
    assert triple == tightest


@pytest.mark.parametrize(
    ("reset_us", "seconds"), [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (59_000_001, 60), (60_000_000, 60)]
)
def test_seconds_are_rounded_up(reset_us: int, seconds: int) -> None:
    """Who waits as long as it says is not early."""
    assert reset_s(Verdict(True, 1, reset_us, 0)) == seconds
    assert headers((600, None), (1, reset_us))["x-ratelimit-reset"] == str(seconds)
