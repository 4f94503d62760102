"""Free-form JSON: what may be stored, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aitbc_server.errors import Code, DomainError
from aitbc_server.json_limits import MAX_DEPTH, check_json, check_text


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def refusal(value: Any, **limits: int) -> str:
    with pytest.raises(DomainError) as raised:
        check_json("job.payload", value, **limits)
    assert raised.value.code is Code.VALIDATION_ERROR
    assert [error.field for error in raised.value.errors] == ["job.payload"]
    return raised.value.errors[0].message


@pytest.mark.parametrize(
    "value",
    [
        {"text": "naïve 😀 \n", "list": [1, 2.5, None, True], "object": {"": {}}},
        nested(MAX_DEPTH),
        [2**64 - 1, -(2**63)],
        "",
        None,
    ],
)
def test_what_json_is_for_passes(value: Any) -> None:
    """Ordinary values, the deepest nesting and the largest integers that are allowed."""
    check_json("payload", value)


def test_nesting_deeper_than_the_limit_is_refused() -> None:
    """ASVS 2.2.1: the 101st level names the field; the walk itself does not recurse."""
    assert "deeper than 100 levels" in refusal(nested(MAX_DEPTH + 1))
    assert "deeper than 100 levels" in refusal({"a": nested(MAX_DEPTH)})
    assert "deeper than 100 levels" in refusal(nested(100_000))


@pytest.mark.parametrize("value", ["a\x00", ["\x00"], {"\x00": 1}, {"a": {"b": ["\x00"]}}])
def test_nul_is_refused_in_strings_and_names(value: Any) -> None:
    """PostgreSQL cannot store NUL, and SQLite must not accept what PostgreSQL refuses."""
    assert "NUL" in refusal(value)


@pytest.mark.parametrize("value", ["\ud800", ["x\udfffy"], {"\udc00": 1}])
def test_lone_surrogates_are_refused(value: Any) -> None:
    """Half a surrogate pair has no UTF-8 form: it could be stored and never answered."""
    assert "surrogate" in refusal(value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, float("inf"), float("-inf"), float("nan")])
def test_numbers_that_other_readers_lose_are_refused(value: Any) -> None:
    """Integers over 64 bits and floats that JSON has no text for."""
    refusal({"n": [value]})


def test_size_is_measured_as_compact_utf8() -> None:
    """The limit is in bytes, and says by how much it was missed."""
    check_json("metadata", {"a": "é"}, max_bytes=10)
    assert refusal({"a": "éé"}, max_bytes=10) == "is 12 bytes as JSON; 10 are allowed"


def test_plain_text_is_held_to_the_same_rule() -> None:
    """Names and other strings outside free-form JSON use the same check."""
    check_text("name", "fine, even 😀")
    with pytest.raises(DomainError):
        check_text("name", "a\x00b")
