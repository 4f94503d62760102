"""The tree of errors, as it is documented and as it can be caught."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from aitbc import exceptions
from aitbc.exceptions import (
    AITBCError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    JobTimeoutError,
    RateLimitError,
)


def test_the_file_opens_with_the_tree_of_its_classes() -> None:
    """The docstring names every class at its place below its parent, and no other."""
    documented: dict[str, str | None] = {}
    branch: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+Error)\b", line):
            depth = len(match[1]) // 4
            documented[match[2]] = branch[depth - 1] if depth else None
            branch[depth:] = [match[2]]
    real = {
        name: None if kind is AITBCError else kind.__base__.__name__
        for name, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, Exception) and kind.__base__ is not None
    }
    assert documented == real


def test_one_except_clause_catches_all() -> None:
    """AITBCError is the base of every error, a connection's timeout is a connection error."""
    assert issubclass(APIStatusError, AITBCError)
    assert issubclass(JobTimeoutError, APITimeoutError)
    assert issubclass(APITimeoutError, APIConnectionError)
    assert not issubclass(APIConnectionError, APIStatusError)


def test_an_error_is_its_detail() -> None:
    """What is printed is the sentence for people; what is missing is None or empty."""
    error = AuthenticationError("no such key")
    assert str(error) == error.detail == "no such key"
    assert (error.status, error.code, error.request_id) == (None, None, None)
    assert error.headers == {}
    assert error.errors == ()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_survives_a_process_boundary(again: object) -> None:
    """Worker pools hand errors over by pickle: nothing is lost."""
    error = RateLimitError("slow down", status=429, code="rate_limit_exceeded", headers={"retry-after": "7"})
    assert callable(again)
    copied = again(error)
    assert (type(copied), str(copied), copied.status, copied.retry_after) == (RateLimitError, "slow down", 429, 7)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "\u0661", "\u00b2", "9" * 5000])
def test_a_header_that_is_no_number_is_none(text: str) -> None:
    """Whatever a proxy put there, reading the error raises nothing."""
    headers = {"retry-after": text, "x-ratelimit-limit": text, "x-ratelimit-remaining": text}
    error = RateLimitError("x", headers=headers)
    assert (error.retry_after, error.limit, error.remaining) == (None, None, None)
    assert RateLimitError("x").retry_after is None
