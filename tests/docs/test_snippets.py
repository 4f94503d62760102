"""The runner of snippets itself: it must not pass what fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.snippets import Snippet, link_environment, missing, run, snippets

PAGE = """\
# A page

```sh
echo one
```
```text
one
```

<!-- not run -->
```sh
make run
```

```python
print("two")
```

```text
of no block
```
"""


def test_blocks_are_found_with_what_they_print() -> None:
    """Blocks to run come in order, with the output that stands right behind them, and without what is left out."""
    assert snippets(PAGE) == [
        Snippet("sh", "echo one\n", 3, ("one",)),
        Snippet("python", 'print("two")\n', 15),
    ]


def test_output_is_compared_in_order_and_in_part() -> None:
    """Each line must be printed, one behind the other; … stands for anything within a line."""
    printed = "Revoked key_0123 (demo).\n  60 200\n   1 429\n"
    assert missing(("Revoked key_… (demo).", "60 200", "…", "1 429"), printed) is None
    assert missing(("1 429", "60 200"), printed) == "60 200"
    assert missing(("60  200", "1429"), printed) == "1429"
    assert missing(("Revoked…200",), printed) == "Revoked…200"


@pytest.mark.parametrize(
    ("language", "text", "expected", "problem"),
    [
        ("sh", "echo good\n", ("good",), None),
        ("sh", "false\necho more\n", (), "failed: ['false']"),
        ("sh", "X=$(exit 3)\n", (), "failed: ['X=$(exit 3)']"),
        ("sh", "echo good\n", ("bad",), "did not print 'bad'"),
        ("sh", "exit 0\n", (), "did not end"),
        ("python", "if True:\n    print('good')\n", ("good",), None),
        ("python", "print(nothing)\n", (), "failed"),
        ("python", "if True:\n    print('good')\nprint('not pasteable')\n", (), "failed"),
    ],
)
def test_whatever_goes_wrong_is_reported(
    language: str, text: str, expected: tuple[str, ...], problem: str | None, tmp_path: Path
) -> None:
    """A command that fails, a line that is not printed and Python that cannot be pasted are all found."""
    link_environment(tmp_path)
    found = [Snippet("sh", "source .venv/bin/activate\n", 1), Snippet(language, text, 2, expected)]
    problems = run(found, tmp_path)
    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert problem in problems[0]
