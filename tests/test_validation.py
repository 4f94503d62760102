"""What msgspec says of a wrong value, as a field's path and words for people."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from aitbc.schemas.common import TENANT_ID_PATTERN
from aitbc.schemas.miners import MINER_ID_PATTERN
from aitbc_server.validation import field_error

TENANT = "1 to 63 lower case letters, digits and hyphens, without a hyphen at either end"
MINER = "1 to 100 letters, digits and . _ : - beginning with a letter or a digit"


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """An object in an object."""

    size: Annotated[int, Meta(ge=1, le=9)] | None = None
    colour: Colour | None = None
    mode: Literal["fast", "slow"] = "fast"


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """Something of everything."""

    name: Annotated[str, Meta(min_length=2, max_length=3, pattern="^[a-z]+$")]
    inner: Inner = msgspec.field(default_factory=Inner)
    many: Annotated[list[Inner], Meta(max_length=1)] = msgspec.field(default_factory=list)
    by_name: dict[str, int] = msgspec.field(default_factory=dict)
    flag: bool = False
    ratio: float = 0.0
    share: Annotated[float, Meta(ge=0.0, le=60.0)] = 0
    tenant: Annotated[str, Meta(pattern=TENANT_ID_PATTERN)] = "acme"
    miner: Annotated[str, Meta(pattern=MINER_ID_PATTERN)] | None = None
    part: Annotated[float, Meta(ge=0.5)] = 1


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("{}", "name", "is required"),
        ("[]", "body", "must be an object, not a list"),
        ('{"name": "abcd"}', "name", "must have at most 3 characters"),
        ('{"name": "a"}', "name", "must have at least 2 characters"),
        ('{"name": "A1"}', "name", "must match the pattern '^[a-z]+$'"),
        ('{"name": null}', "name", "must be a string, not null"),
        ('{"name": "ab", "tenant": "-"}', "tenant", f"must be {TENANT}"),
        ('{"name": "ab", "miner": "a\\n"}', "miner", f"must be {MINER}"),
        ('{"name": "ab", "x": 1}', "x", "is not a field that is known here"),
        ('{"name": "ab", "flag": 1}', "flag", "must be true or false, not an integer"),
        ('{"name": "ab", "ratio": "1"}', "ratio", "must be a number, not a string"),
        ('{"name": "ab", "inner": {"x": 1}}', "inner.x", "is not a field that is known here"),
        ('{"name": "ab", "inner": {"size": 0}}', "inner.size", "must be at least 1"),
        ('{"name": "ab", "inner": {"size": 10}}', "inner.size", "must be at most 9"),
        ('{"name": "ab", "inner": {"size": "1"}}', "inner.size", "must be an integer or null, not a string"),
        ('{"name": "ab", "inner": {"colour": "green"}}', "inner.colour", "must be one of red, blue"),
        ('{"name": "ab", "inner": {"mode": "idle"}}', "inner.mode", "must be one of fast, slow"),
        ('{"name": "ab", "many": [{}, {}]}', "many", "must have at most 1 items"),
        ('{"name": "ab", "many": [{"colour": "green"}]}', "many.0.colour", "must be one of red, blue"),
        ('{"name": "ab", "many": [1]}', "many.0", "must be an object, not an integer"),
        ('{"name": "ab", "by_name": {"k": "v"}}', "by_name", "must be an integer, not a string"),
        ('{"name": "ab", "share": -1}', "share", "must be at least 0"),
        ('{"name": "ab", "share": 61.5}', "share", "must be at most 60"),
        ('{"name": "ab", "part": 0.25}', "part", "must be at least 0.5"),
        ('{"name": "ab", "ratio": 1e999}', "ratio", "is a number too large to be kept"),
    ],
)
def test_it_names_the_field_and_what_it_must_be(body: str, field: str, words: str) -> None:
    """The path is dotted, with the place in a list; the words name types as JSON's readers know them."""
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(body, type=Wanted)
    error = field_error(str(raised.value), Wanted)
    assert (error.field, error.message) == (field, words)


@pytest.mark.parametrize(
    ("message", "wanted", "field", "words"),
    [
        ("Invalid enum value 'x' - at `$.a`", None, "a", "'x' is not a value that is known here"),
        ("Something new - at `$.a`", None, "a", "Something new"),
        ("Something new", None, "body", "Something new"),
        ("Expected `int`, got `str` - at `key in $.a`", None, "a", "must be an integer, not a string"),
    ],
)
def test_what_it_does_not_know_it_passes_on(message: str, wanted: Any, field: str, words: str) -> None:
    """A later msgspec may say something else: then that is what the caller reads, with its field."""
    error = field_error(message, wanted)
    assert (error.field, error.message) == (field, words)


def test_the_root_stands_before_the_path() -> None:
    """For values that are a field of something else."""
    assert field_error("Expected `int`, got `str` - at `$.a[0]`", root="job").field == "job.a.0"
    assert field_error("Expected `int`, got `str`", root="job").field == "job"
