"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from aitbc.cli.job_input import TTL
from aitbc.cli.key_changes import GRACE
from aitbc.cli.times import MOMENT, relative
from aitbc.schemas.api_keys import MAX_GRACE_PERIOD_S
from aitbc.schemas.jobs import MAX_TTL_S

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "in 0s"),
        (59.2, "in 59s"),
        (90, "in 90s"),
        (299, "in 5m"),
        (3599, "in 1h"),
        (5400, "in 1h 30m"),
        (86398, "in 1d"),
        (36 * 3600 - 2, "in 1d 12h"),
        (7 * 86400 - 1, "in 7d"),
        (90 * 86400 - 1, "in 90d"),
    ],
)
def test_what_was_asked_for_is_what_is_shown(seconds: float, shown: str) -> None:
    """`--grace 24h` does not read as 23 hours only because the answer took a second."""
    assert relative(NOW + timedelta(seconds=seconds), NOW) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s ago"), (59, "59s ago"), (3599, "59m ago"), (86399, "23h ago"), (86400, "1d ago")]
)
def test_an_age_is_rounded_down(seconds: float, shown: str) -> None:
    """As people tell ages: it is an hour old once the hour is over."""
    assert relative(NOW - timedelta(seconds=seconds), NOW) == shown


def test_durations_are_bounded_as_the_server_bounds_them() -> None:
    """Told in the words of the option, before anything is sent."""
    assert GRACE.convert(f"{MAX_GRACE_PERIOD_S}s", None, None) == GRACE.convert("7d", None, None)
    assert TTL.convert(f"{MAX_TTL_S}s", None, None) == TTL.convert("1w", None, None)
    for kind, wrong in ((GRACE, f"{MAX_GRACE_PERIOD_S + 1}s"), (TTL, f"{MAX_TTL_S + 1}s")):
        with pytest.raises(click.BadParameter, match=f"^'{wrong}' is too long; it must be 7d or less"):
            kind.convert(wrong, None, None)
    with pytest.raises(click.BadParameter, match="it must be 1s or more"):
        TTL.convert("0s", None, None)


def test_no_time_at_all_is_a_time() -> None:
    """`--expires 0d` means now: that it is too early is for the server to say."""
    assert MOMENT.convert("0d", None, None) == timedelta(0)
