"""Which passwords are tried first: common ones, a few of them in a row, runs on the keyboard, repetitions.

The lists are zxcvbn's: the most common passwords of public breaches, words and names, 90,000 in all (ASVS 6.2.4,
6.2.12). Few of them have the 15 characters that a password needs here, so what counts is what people make of them to
get there: ``passwordpassword``, ``qwerty1234567890``. Its estimator is not used: crafted text keeps that busy for
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

#: So many common pieces and other characters together are too few: a program tries them all in a moment.
TOO_FEW_PIECES = 3
_SHORTEST_UNIT = 8
_SHORTEST_WORD, _LONGEST_WORD = 4, 24
_SHORTEST_RUN = 3

_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc",
)
_LONGEST_RUN = max(map(len, _ROWS))
_YEARS = tuple(str(year) for year in range(1900, 2050))


def is_common(password: str) -> bool:
    """Whether somebody who guesses would try this early. Case makes no difference."""
    text = password.lower()
    unit = repeated_unit(text)
    if unit is not None and (len(unit) < _SHORTEST_UNIT or fewest_pieces(unit) < TOO_FEW_PIECES):
        return True
    return fewest_pieces(text) <= TOO_FEW_PIECES


def repeated_unit(text: str) -> str | None:
    """What ``text`` repeats (``abcabcab``: ``abc``); None where it does not repeat the whole of it once."""
    # The shortest period is what a text and its own longest border leave (Knuth, Morris and Pratt's failure function).
    border = [0] * len(text)
    for index in range(1, len(text)):
        length = border[index - 1]
        while length and text[index] != text[length]:
            length = border[length - 1]
        border[index] = length + (text[index] == text[length])
    period = len(text) - border[-1] if text else 0
    return text[:period] if 0 < period * 2 <= len(text) else None


def fewest_pieces(text: str) -> int:
    """Into how few pieces it falls: common passwords, runs, repeated characters, and other characters one by one."""
    pieces = _pieces()
    fewest = [0]
    same = 0
    for end in range(1, len(text) + 1):
        same = same + 1 if end > 1 and text[end - 1] == text[end - 2] else 1
        best = fewest[-1] + 1
        for start in range(max(0, end - max(_LONGEST_WORD, _LONGEST_RUN)), end - _SHORTEST_RUN + 1):
            if fewest[start] + 1 < best and text[start:end] in pieces:
                best = fewest[start] + 1
        if same >= _SHORTEST_RUN:
            best = min(best, fewest[end - same] + 1)
        fewest.append(best)
    return fewest[-1]


@lru_cache(maxsize=1)
def _pieces() -> frozenset[str]:
    # Read when the first password is chosen: it takes 20 MB and some 100 ms, which no start should wait for.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

    words = (word for words in FREQUENCY_LISTS.values() for word in words)
    return frozenset((*(word for word in words if _SHORTEST_WORD <= len(word) <= _LONGEST_WORD), *_runs(), *_YEARS))


def _runs() -> Iterator[str]:
    """Every part of the rows, in both directions."""
    for row in _ROWS:
        for run in (row, row[::-1]):
            for start in range(len(run)):
                yield from (run[start:end] for end in range(start + _SHORTEST_RUN, len(run) + 1))
