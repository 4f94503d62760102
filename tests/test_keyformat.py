"""The key's text format: what is built parses, what is not a key does not, and text is scanned exactly."""

from __future__ import annotations

import os
import random
import re
import string
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitbc import keyformat
from aitbc.keyformat import (
    ALPHABET,
    KEY_LENGTH,
    KEY_PATTERN,
    KeyParts,
    build,
    checksum,
    generate,
    has_prefix,
    mask,
    parse,
    random_base62,
    scan,
)

FULL = os.environ.get("AITBC_FULL") == "1"
FUZZ_INPUTS = 10_000_000 if FULL else 100_000
# Not an argument of the command line, so that a failure can be run again as it was.
SEED = 20261124

KID = "0123456789ab"
SECRET = "S" * 43
KEY = build("live", KID, SECRET)

# Machines that run other work are slow at times; only where time is the subject is there a deadline.
unhurried = settings(deadline=None)
parts = st.builds(
    KeyParts,
    st.sampled_from(["live", "test"]),
    st.text(alphabet=ALPHABET, min_size=12, max_size=12),
    st.text(alphabet=ALPHABET, min_size=43, max_size=43),
)


def test_a_key_has_the_documented_form() -> None:
    """Prefix, environment, kid, secret and checksum, 73 characters, as the documented expression says."""
    assert f"aitbc_live_{KID}_{SECRET}" + KEY[-6:] == KEY
    assert len(KEY) == KEY_LENGTH == 73
    assert KEY_PATTERN == r"\baitbc_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b"
    assert re.fullmatch(KEY_PATTERN, KEY)
    assert (string.digits + string.ascii_uppercase + string.ascii_lowercase) == ALPHABET


def test_the_checksum_is_the_documented_crc32() -> None:
    """CRC32 (its check value is 0xCBF43926) as 6 base62 digits, the most significant first, zero padded."""
    value = zlib.crc32(b"123456789")
    assert value == 0xCBF43926
    text = checksum("123456789")
    assert sum(ALPHABET.index(digit) * 62**place for place, digit in enumerate(reversed(text))) == value
    assert checksum("") == "000000"


@unhurried
@given(parts)
def test_what_is_built_parses_to_the_same_parts(expected: KeyParts) -> None:
    """Build and parse are each other's inverse."""
    assert parse(build(*expected)) == expected


@unhurried
@given(parts, st.data())
def test_no_single_typo_is_taken_for_a_key(expected: KeyParts, data: st.DataObject) -> None:
    """One character replaced, dropped, doubled or swapped with its neighbour: refused offline."""
    key = build(*expected)
    place = data.draw(st.integers(0, KEY_LENGTH - 2))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda letter: letter != key[place]))
    typos = {
        key[:place] + other + key[place + 1 :],
        key[:place] + key[place + 1 :],
        key[:place] + key[place] + key[place:],
        key[:place] + key[place + 1] + key[place] + key[place + 2 :],
    } - {key}
    for typo in typos:
        assert parse(typo) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY + "\n",
        " " + KEY,
        KEY + KEY,
        KEY.upper(),
        KEY.replace("live", "prod"),
        KEY.replace("aitbc", "aitbd"),
        KEY[:-1] + "é",
        KEY.replace("0", "\u0660"),
        KEY.replace("0", "\uff10"),
        KEY[:30] + "\x00" + KEY[31:],
        "aitbc_live_" * 1000,
        "\ud800" * 73,
    ],
)
def test_what_is_no_key_is_none(text: str) -> None:
    """Other scripts' digits, line ends, other environments, oversize text: None and never an exception."""
    assert parse(text) is None


@unhurried
@given(st.text())
def test_any_text_is_parsed_without_surprise(text: str) -> None:
    """The parser answers None or the parts that build the very same text."""
    _judge(text)


def test_the_parser_under_a_flood_of_near_keys() -> None:
    """10^7 mutated keys with AITBC_FULL=1 (10^5 else): parsed if and only if the text is what builds it (goal S6).

    The judge shares no code with the parser but the checksum, which has its own test.
    """
    dice = random.Random(SEED)
    alphabet = ALPHABET + "_-é\u0660\n\x00 "
    accepted = 0
    for _ in range(FUZZ_INPUTS):
        accepted += _judge(_mutated(dice, alphabet))
    # A mutation may put back what was there, so some are accepted; not one that should not be.
    assert 0 < accepted < FUZZ_INPUTS


def _mutated(dice: random.Random, alphabet: str) -> str:
    characters = list(KEY)
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(characters))
        kind = dice.randrange(4)
        if kind == 0:
            del characters[place]
        elif kind == 1:
            characters.insert(place, dice.choice(alphabet))
        else:
            characters[place] = dice.choice(alphabet)
    return "".join(characters)


def _judge(text: str) -> bool:
    """Whether ``text`` was accepted, after checking that this is right."""
    found = parse(text)
    right = (
        len(text) == 73
        and text.isascii()
        and text[:11] in {"aitbc_live_", "aitbc_test_"}
        and text[11:23].isalnum()
        and text[23] == "_"
        and text[24:].isalnum()
        and checksum(text[:67]) == text[67:]
    )
    assert (found is not None) == right, repr(text)
    if found is not None:
        assert found == (text[6:10], text[11:23], text[24:67])
    return right


@pytest.mark.parametrize(
    ("environment", "kid", "secret"),
    [("prod", KID, SECRET), ("live", KID[1:], SECRET), ("live", KID, SECRET + "x"), ("live", KID, "_" * 43)],
)
def test_nothing_else_is_built(environment: str, kid: str, secret: str) -> None:
    """Parts that are not of the format are refused, and the message shows no secret."""
    with pytest.raises(ValueError, match="not the parts of an API key"):
        build(environment, kid, secret)


def test_generated_parts_are_fresh_and_of_the_format() -> None:
    """256 bits of the system's random source, base62, another each time. ASVS 6.5.2, 6.5.3, 11.2.3, 11.5.1."""
    made = {generate("test") for _ in range(100)}
    assert len({part.kid for part in made}) == len({part.secret for part in made}) == 100
    assert all(parse(build(*part)) == part for part in made)
    assert len(set(random_base62(10_000))) == 62


def test_randomness_is_passed_in() -> None:
    """A given source of text decides the key."""
    assert generate("live", random_text=lambda length: "7" * length) == ("live", "7" * 12, "7" * 43)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(parts.map(lambda part: build(*part)), st.text(max_size=20)), max_size=6))
def test_every_key_in_a_text_is_found(pieces: list[str]) -> None:
    """Keys between spaces are found where they are, and nothing else is."""
    text = " ".join(pieces)
    keys = [piece for piece in pieces if parse(piece)]
    assert [text[start:end] for start, end in scan(text)] == keys


@pytest.mark.parametrize("around", ['"{}"', "={};", "({})", "é{}é", "\n{}\n", "-{}-", "https://u:{}@host/"])
def test_a_key_is_found_in_its_surroundings(around: str) -> None:
    """Quotes, assignments, addresses and other scripts do not hide a key."""
    text = around.format(KEY)
    assert [text[start:end] for start, end in scan(text)] == [KEY]


@pytest.mark.parametrize("around", ["x{}", "{}x", "_{}", "{}_"])
def test_a_piece_of_a_longer_word_is_no_key(around: str) -> None:
    """A run of word characters around it says that it is something else."""
    assert list(scan(around.format(KEY))) == []


def test_a_look_alike_is_not_reported() -> None:
    """The checksum spares people the false alarms of placeholders."""
    assert list(scan("aitbc_live_" + "x" * 12 + "_" + "x" * 49)) == []


@settings(max_examples=50, deadline=2000)
@given(st.text(alphabet="aitbc_live" + ALPHABET[:5], max_size=2000))
def test_a_hostile_text_is_scanned_in_linear_time(text: str) -> None:
    """No input makes the expression back up again and again: 2 s is a thousand times too long. ASVS 1.3.12."""
    assert list(scan(text * 10)) == []


def test_who_claims_our_prefix() -> None:
    """Only text that starts with it, exactly."""
    assert has_prefix("aitbc_")
    assert not has_prefix("AITBC_live_")
    assert not has_prefix(" aitbc_")


def test_the_masked_form_shows_no_secret() -> None:
    """The kid is public; of the secret the last four characters are, and none for foreign keys. ASVS 16.2.5."""
    assert mask("live", KID, KEY[-4:]) == f"aitbc_live_{KID}_…{KEY[-4:]}"
    assert mask("test", KID, "") == f"aitbc_test_{KID}_…"
    assert SECRET not in mask("live", KID, KEY[-4:])


def test_the_format_needs_the_standard_library_only() -> None:
    """Scanners and hooks load it without anything else installed."""
    code = "import sys, aitbc.keyformat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"msgspec", "httpx2", "aitbc_server"} & set(loaded)


def test_redacting_masks_whole_keys_and_nothing_else() -> None:
    """What is quoted in logs and errors shows of a key what may be shown, and of a look-alike everything."""
    key, other = keyformat.build("live", "A" * 12, "s" * 43), keyformat.build("test", "B" * 12, "t" * 43)
    masked = keyformat.mask("live", "A" * 12, key[-4:])
    assert keyformat.redact(f"a {key}, {other} and {key[:-1]}0") == (
        f"a {masked}, {keyformat.mask('test', 'B' * 12, other[-4:])} and {key[:-1]}0"
    )
    assert keyformat.redact("") == ""
