"""What is said of a body that the JSON decoder refused: what is wrong, and where, in words of our own."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import msgspec
import pytest

from aitbc_server.errors import DomainError
from aitbc_server.gate.body import decoded

ANYTHING = msgspec.json.Decoder(dict[str, Any])
NOT_JSON = "The body is not valid JSON: "
HALF = "is half of a surrogate pair, which is no character."
MIB = 1024 * 1024


def refused(body: bytes) -> DomainError:
    with pytest.raises(DomainError) as caught:
        decoded(ANYTHING, body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"a":"\\ud800"}', rf"{NOT_JSON}\ud800 at position 6 {HALF}"),
        (b'{"payload":{"a":"\\ud800"}}', rf"{NOT_JSON}\ud800 at position 17 {HALF}"),
        (b'{"a":"\\uDC00 and more of it"}', rf"{NOT_JSON}\uDC00 at position 6 {HALF}"),
        (b'{"a":"\\ud83d\\ude00\\ud83d\\ude00\\ud83d"}', rf"{NOT_JSON}\ud83d at position 30 {HALF}"),
        (b'{"a":"\\ud800\\u0041"}', rf"{NOT_JSON}\ud800 at position 6 {HALF}"),
        (b'{"a":"\\\\ud800 \\ud801"}', rf"{NOT_JSON}\ud801 at position 14 {HALF}"),
        (b'{"\\ud800":1}', rf"{NOT_JSON}\ud800 at position 2 {HALF}"),
        (b'{"a":"\\\\ud800', f"{NOT_JSON}it ends before its time."),
        (b'{"a":', f"{NOT_JSON}it ends before its time."),
        (b" ", f"{NOT_JSON}it ends before its time."),
        (b'{"a":NaN}', f"{NOT_JSON}invalid character (byte 5)."),
        (b'{"a":"\xff"}', "The body is not in UTF-8: the byte at position 6 belongs to no character."),
        (b"\xff\xfe{\0}\0", "The body is not in UTF-8: the byte at position 0 belongs to no character."),
        (b'{"\xc3\xa9":"\xed\xa0\x80"}', "The body is not in UTF-8: the byte at position 7 belongs to no character."),
    ],
)
def test_what_cannot_be_decoded(body: bytes, detail: str) -> None:
    """400 with what is wrong and its place in the body, counted in bytes from 0."""
    error = refused(body)
    assert (error.code, error.detail) == ("bad_request", detail)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"a":1e999}', "a"),
        (b'{"payload":{"a":-1e999}}', "payload.a"),
        (b'{"payload":{"ok":1.5,"a":[0,[],{"b":{},"c":1e999,"d":1e999}]}}', "payload.a.2.c"),
        (b'{"a":' + b"9" * 5000 + b"}", "a"),
        (b'{"a":1e999,"a":{"\\ud800":1e999}}', "a"),
        (b'{"b":{"\xc3\xa9":1e999}}', "b.\u00e9"),
        (b'{"' + b"n" * 500 + b'":1e999}', "n" * 300 + "…"),
        (b'{"a":{"b":1e999},"c":"' + b"x" * 64 * 1024 + b'"}', "body"),
        # What is behind the number cannot be read, or not without recursion.
        (b'{"a":1e999,', "body"),
        (b'{"a":1e999,"b":' + b"[" * 100_000, "body"),
        (b'{"":1e999}', "body"),
    ],
)
def test_a_number_that_is_too_large_is_named(body: bytes, field: str) -> None:
    """422 with the path of the first one, in the caller's own JSON too."""
    error = refused(body)
    assert [(each.field, each.message) for each in error.errors] == [(field, "is a number too large to be kept")]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + rb"\u0041" * (MIB // 6) + rb'\ud800"}',
        b'{"a":"' + rb"\ud83d\ude00" * (MIB // 12) + rb'\ud800"}',
        b'{"a":"' + rb"\n" * (MIB // 2) + rb'\ud800"}',
        b'{"a":[' + b"[],{}," * (MIB // 6) + b"1e999]}",
        b'{"a":' + b"9" * MIB + b"}",
    ],
)
def test_looking_for_it_takes_no_long_time(body: bytes) -> None:
    """The largest bodies of the worst kinds hold up nobody: a quiet machine takes 0.05 s for each."""
    began_s = perf_counter()
    refused(body)
    assert perf_counter() - began_s < 10
