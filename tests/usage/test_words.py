"""Outcomes and operations in words."""

from __future__ import annotations

import pytest
from tests.support.installation import routes

from aitbc_server.errors import Code
from aitbc_server.gate.operations import UNMATCHED, Audience
from aitbc_server.usage.words import _OPERATIONS, _OUTCOMES, operation_words, outcome_words

#: What the gate may answer a right secret with (design section 6).
OUTCOMES = [
    "allowed",
    Code.RATE_LIMIT_EXCEEDED,
    Code.INSUFFICIENT_SCOPE,
    Code.IP_NOT_ALLOWED,
    Code.EXPIRED_API_KEY,
    Code.REVOKED_API_KEY,
    Code.DISABLED_API_KEY,
    Code.TENANT_MISMATCH,
    Code.TENANT_SUSPENDED,
]


def test_every_operation_of_the_api_has_words() -> None:
    """Whatever is counted has a name that people understand; a name for nothing is taken out."""
    counted = {route.operation.id for route in routes() if route.operation.audience is Audience.KEY}
    assert set(_OPERATIONS) == counted | {UNMATCHED.operation.id}


def test_every_outcome_has_words() -> None:
    """A refusal says why, and what helps."""
    assert set(_OUTCOMES) == set(OUTCOMES)
    assert all(all(words) for outcome, words in _OUTCOMES.items() if outcome != "allowed")


@pytest.mark.parametrize("text", ["later_code", "rate_limit_exceeded", "allowed"])
def test_what_is_not_known_is_shown_by_its_name(text: str) -> None:
    """Counts of a later release stay readable after a downgrade."""
    assert outcome_words(text).name
    assert operation_words("things.do_this") == "Things: do this"
    assert outcome_words("later_code").name == "Later code"
