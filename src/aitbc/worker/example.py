"""The program that comes along with the miner: statistics of a text. Standard library only.

    echo '{"type": "text-statistics", "text": "To be or not to be."}' | python -m aitbc.worker.example

It is an example of what ``aitbc miners run --exec`` takes: the payload as JSON on standard input, the result
as JSON on standard output, exit code 0; or a failure ``{"error_code", "error_message"}`` and exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import IO, Any

JOB_TYPES = ("text-statistics",)

READING_WORDS_PER_MINUTE = 238  # Adults reading English silently (Brysbaert 2019).

_MOST_FREQUENT = 10
# \u2019 is the typographic apostrophe; the second half of the pattern are the full stops of Chinese and Japanese.
_WORD = re.compile("\\d+(?:[.,]\\d+)+|[^\\W_]+(?:['\u2019-][^\\W_]+)*")
_SENTENCE_END = re.compile("[.!?\u2026]+(?=\\s|$|[\"'\u201d\u2019)])|[\u3002\uff01\uff1f]+")


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The payload cannot be worked on; ``code`` and the message go to the job's client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def run(payload: Any) -> dict[str, Any]:
    """The result for a job's payload. Raises Refused."""
    if not isinstance(payload, dict):
        raise Refused("invalid_payload", "the payload must be a JSON object")
    job_type = payload.get("type")
    if job_type not in JOB_TYPES:
        what = f"jobs of type {job_type!r}" if isinstance(job_type, str) else "a job without a type"
        raise Refused("unsupported_job_type", f"cannot run {what}; can run: {', '.join(JOB_TYPES)}")
    text = payload.get("text")
    if not isinstance(text, str):
        raise Refused("invalid_payload", 'text-statistics needs a "text", a string')
    return statistics(text)


def statistics(text: str) -> dict[str, Any]:
    """Counts, averages, the most frequent words and a readability figure of ``text``.

    A word is a run of letters and digits, with apostrophes and hyphens inside, or a number; words are compared without
    case. The readability figure is the Automated Readability Index (Senter and Smith 1967), about the US school
    grade that the text asks for; null without words.
    """
    words = _WORD.findall(text)
    counts = Counter(word.casefold() for word in words)
    sentences = _count_sentences(text)
    letters = sum(map(len, words))
    return {
        "characters": len(text),
        "characters_without_spaces": sum(not character.isspace() for character in text),
        "words": len(words),
        "unique_words": len(counts),
        "sentences": sentences,
        "lines": len(text.splitlines()),
        "most_frequent_words": [
            {"word": word, "count": count}
            for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FREQUENT]
        ],
        "longest_word": max(words, key=len, default=None),
        "average_word_length": _ratio(letters, len(words)),
        "average_sentence_length": _ratio(len(words), sentences),
        "reading_time_seconds": round(len(words) * 60 / READING_WORDS_PER_MINUTE),
        "readability_grade": _readability(letters, len(words), sentences),
    }


def _count_sentences(text: str) -> int:
    """Sentences that hold a word; text after the last full stop is one too."""
    return sum(bool(_WORD.search(piece)) for piece in _SENTENCE_END.split(text))


def _ratio(amount: int, of: int) -> float:
    return round(amount / of, 2) if of else 0.0


def _readability(letters: int, words: int, sentences: int) -> float | None:
    if not words or not sentences:
        return None
    return round(4.71 * letters / words + 0.5 * words / sentences - 21.43, 1)


def main(stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Read one payload, write one answer, return the exit code."""
    try:
        answer, code = run(json.loads(stdin.read())), 0
    except Refused as refused:
        answer, code = {"error_code": refused.code, "error_message": str(refused)}, 1
    except (ValueError, RecursionError) as error:
        answer, code = {"error_code": "invalid_payload", "error_message": f"not JSON: {error}"}, 1
    # Escaped, so that text with lone surrogates goes out as it came in.
    stdout.write(json.dumps(answer).encode("ascii") + b"\n")
    stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
