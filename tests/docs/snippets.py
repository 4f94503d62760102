"""The fenced blocks of a page, and a shell that runs them in order as a reader would paste them.

A ``sh`` or ``python`` block is run. A ``text`` block right behind one shows its output in part: each of its lines
must be found in what was printed, in that order; ``…`` stands for anything, and spaces may be more or fewer.
``<!-- not run -->`` before a block leaves it out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 120

_BLOCK = re.compile(r"^(<!-- not run -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@snippet"


@dataclass(frozen=True)
class Snippet:
    """One block to run, the line of the page that it begins at, and the lines that it must print."""

    language: str
    text: str
    line: int
    expected: tuple[str, ...] = ()


def blocks(page: str) -> list[tuple[str, str, int]]:
    """(language, text, line) of every fenced block that is not left out."""
    found = _BLOCK.finditer(page)
    return [(match[2], match[3], page.count("\n", 0, match.start()) + 1) for match in found if not match[1]]


def snippets(page: str) -> list[Snippet]:
    """What is to be run of a page, in its order."""
    found: list[Snippet] = []
    for match in _BLOCK.finditer(page):
        left_out, language, text = match.groups()
        line = page.count("\n", 0, match.start()) + 1
        if language in {"sh", "python"} and not left_out:
            found.append(Snippet(language, text, line))
        elif language == "text" and found and page[: match.start()].endswith(f"{found[-1].text}```\n"):
            last = found.pop()
            found.append(Snippet(last.language, last.text, last.line, tuple(text.splitlines())))
    return found


def missing(expected: tuple[str, ...], printed: str) -> str | None:
    """The first line of ``expected`` that is not in ``printed``, in order; None where all are."""
    position = 0
    for line in expected:
        if line.strip() == "…":
            continue
        pattern = "[^\n]*".join(_spaced(part) for part in line.split("…"))
        match = re.compile(pattern).search(printed, position)
        if match is None:
            return line
        position = match.end()
    return None


def _spaced(text: str) -> str:
    """A pattern for text of which the spaces may be more or fewer: tables are as wide as their contents."""
    return "[ \\t]+".join(re.escape(word) for word in text.split())


def run(found: list[Snippet], folder: Path) -> list[str]:
    """Run the snippets in one bash, in ``folder``, and return what is wrong: a line for each, none is good.

    Every command must succeed. Python is pasted into an interactive interpreter, line by line.
    """
    script = ["set -o pipefail", f'trap \'printf "{_MARK}:failed:%s\\n" "$BASH_COMMAND"\' ERR']
    for number, snippet in enumerate(found):
        script.append(_paste(snippet, number, folder) if snippet.language == "python" else snippet.text)
        script.append(f'printf "\\n{_MARK}:end:{number}\\n"')
    printed = _bash("\n".join(script), folder)
    problems = []
    for number, snippet in enumerate(found):
        before, end, printed = printed.partition(f"\n{_MARK}:end:{number}\n")
        failed = re.findall(rf"{_MARK}:failed:(.*)", before)
        lost = missing(snippet.expected, before)
        if not end or failed or lost:
            what = f"failed: {failed}" if failed else f"did not print {lost!r}" if end else "did not end"
            problems.append(f"the block in line {snippet.line} {what}; it printed:\n{before}")
    return problems


def _paste(snippet: Snippet, number: int, folder: Path) -> str:
    """A command that feeds the block to an interactive Python, and fails where that reports an error."""
    pasted = folder / f"pasted-{number}.py"
    pasted.write_text(snippet.text + "\n", encoding="utf-8")
    errors = f"pasted-{number}.err"
    return f"python -iq < {pasted.name} 2> {errors}; if grep -n -e Error -e Warning {errors}; then false; fi"


def _bash(script: str, folder: Path) -> str:
    bash = shutil.which("bash")
    assert bash is not None
    pasted = folder / "pasted.sh"
    pasted.write_text(script, encoding="utf-8")
    # What the reader's terminal has: nothing of ours, and a width.
    ours = ("AITBC_", "CLIENT_API_KEY", "MINER_API_KEY", "MANAGER_API_KEY", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [bash, pasted],
        cwd=folder,
        env=environment | {"COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
        text=True,
        encoding="utf-8",
    )
    return done.stdout


def link_environment(folder: Path) -> None:
    """Put the environment that the tests run in where `make run` puts it."""
    (folder / ".venv").symlink_to(sys.prefix)
