"""The example program, as a program and as a function."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from aitbc.worker.example import Refused, run, statistics


def program(stdin: bytes) -> tuple[int, Any]:
    """Exit code and answer of the real program."""
    done = subprocess.run([sys.executable, "-m", "aitbc.worker.example"], input=stdin, capture_output=True, check=False)
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def test_it_counts_what_is_in_a_text() -> None:
    """Each figure, for a text that can be counted by hand."""
    assert statistics("To be or not to be.\nThat is the question! Don't re-read.") == {
        "characters": 56,
        "characters_without_spaces": 45,
        "words": 12,
        "unique_words": 10,
        "sentences": 3,
        "lines": 2,
        "most_frequent_words": [
            {"word": "be", "count": 2},
            {"word": "to", "count": 2},
            {"word": "don't", "count": 1},
            {"word": "is", "count": 1},
            {"word": "not", "count": 1},
            {"word": "or", "count": 1},
            {"word": "question", "count": 1},
            {"word": "re-read", "count": 1},
            {"word": "that", "count": 1},
            {"word": "the", "count": 1},
        ],
        "longest_word": "question",
        "average_word_length": 3.5,
        "average_sentence_length": 4.0,
        "reading_time_seconds": 3,
        "readability_grade": -2.9,
    }


@pytest.mark.parametrize("text", ["", "  \n ", "...", "🙂"])
def test_a_text_without_words_is_counted_too(text: str) -> None:
    """Nothing is divided by nothing."""
    counted = statistics(text)
    assert (counted["words"], counted["sentences"], counted["readability_grade"]) == (0, 0, None)


@pytest.mark.parametrize(
    ("text", "words", "sentences"),
    [("Version 1.5 is out", 4, 1), ("你好。再见。", 2, 2), ("“Yes.” “No?”", 2, 2), ("L\u2019été", 1, 1)],
)
def test_words_and_sentences_of_several_languages(text: str, words: int, sentences: int) -> None:
    """Points inside numbers end no sentence; typographic marks are marks."""
    counted = statistics(text)
    assert (counted["words"], counted["sentences"]) == (words, sentences)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"name": "image-classification", "type": "ai-inference", "model": {"type": "python"}}, "unsupported_job_type"),
        ({"text": "no type"}, "unsupported_job_type"),
        ({"type": "text-statistics"}, "invalid_payload"),
        ({"type": "text-statistics", "text": 5}, "invalid_payload"),
        ([], "invalid_payload"),
    ],
)
def test_what_it_cannot_work_on_is_refused(payload: Any, code: str) -> None:
    """With a stable code, and for another type with the name of its own."""
    with pytest.raises(Refused) as refused:
        run(payload)
    assert refused.value.code == code
    assert "text-statistics" in str(refused.value) or not isinstance(payload, dict)


def test_it_is_a_program() -> None:
    """JSON in, JSON out, exit code 0; a failure with 1; never a traceback."""
    assert program(b'{"type": "text-statistics", "text": "Hello world"}')[1]["words"] == 2
    assert program(b'{"type": "text-statistics", "text": "\\ud800"}')[0] == 0
    for bad in (b"", b"nonsense", b"\xff", b"[" * 100_000, b"{}"):
        code, answer = program(bad)
        assert code == 1
        assert set(answer) == {"error_code", "error_message"}
