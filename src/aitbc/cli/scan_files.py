"""Which files to scan: those named, those that git does not ignore, those that are staged."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from aitbc.cli.errors import EXIT_USAGE, CommandError

# What holds no file that a person wrote, where git is not there to say so.
_SKIPPED_FOLDERS = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
    ]
)
# The user's own git, from their PATH, never through a shell; what follows are our words and git's own answers.
_GIT = "git"
_SUBMODULE = "160000"


class Source(NamedTuple):
    """Something to scan: its name for people, and how to open it. ``open`` may raise OSError."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


def standard_input() -> Source:
    """Standard input, to its end."""

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        yield sys.stdin.buffer

    return Source("(standard input)", opened)


def files_below(path: Path) -> Iterator[Source]:
    """The file ``path`` itself, or the regular files in that folder, by name; links in it are not followed.

    What else a folder holds (pipes, sockets, devices) is passed over; to name one is an error when it is opened.
    """
    if not path.is_dir():
        yield _file(path)
        return
    # To ask git for the files of a folder that it ignores as a whole gives none: but that folder was named.
    listed = None if _git_in(path, "check-ignore", "--quiet", ".") is not None else _listed_by_git(path)
    for file in _walk(path) if listed is None else listed:
        if file.is_symlink():
            continue
        if file.is_dir():  # A submodule, or a repository inside this one.
            yield from files_below(file)
        elif file.is_file():
            yield _file(file)


def _file(path: Path) -> Source:
    return Source(str(path), lambda: _opened(path))


def _opened(path: Path) -> BinaryIO:
    # To open a pipe waits for whoever writes into it, perhaps for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file (`aitbc scan -` reads standard input)")
    return path.open("rb")


def _listed_by_git(folder: Path) -> list[Path] | None:
    """The files below ``folder`` that git knows or would add; None where there is no git or no repository."""
    answer = _git_in(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if answer is None:
        return None
    names = {os.fsdecode(name) for name in answer.split(b"\0") if name}
    return [folder / name for name in sorted(names)]


def _git_in(folder: Path, *arguments: str) -> bytes | None:
    """What git answers about a folder; None where there is no git or no repository, or where it says no."""
    # Inside a hook, git's own variables point to the repository of the hook, wherever ``folder`` is.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = [_GIT, "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603 - see _GIT
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def _walk(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise CommandError(f"cannot read {error.filename}: {error.strerror}", exit_code=EXIT_USAGE) from error

    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        yield from (Path(root) / name for name in sorted(files))


def staged_files() -> Iterator[Source]:
    """What the next commit would add or change, as it is staged, not as it is in the work tree.

    Raises CommandError outside a git repository.
    """
    _git("rev-parse", "--git-dir")  # Outside a repository, diff itself would print its usage.
    changes = _git("diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=d").split(b"\0")
    # Pairs of ":<old mode> <new mode> <old id> <new id> <status>" and the path.
    for fields, name in zip(changes[::2], changes[1::2], strict=False):
        _, mode, _, blob, _ = fields.decode("ascii").split(" ")
        if mode != _SUBMODULE:
            yield Source(os.fsdecode(name), partial(_blob, blob))


def _git(*arguments: str) -> bytes:
    try:
        answer = subprocess.run([_GIT, *arguments], capture_output=True, check=False)  # noqa: S603 - see _GIT
    except OSError as error:
        raise CommandError("--staged needs git, which is not there", exit_code=EXIT_USAGE) from error
    if answer.returncode != 0:
        reason = os.fsdecode(answer.stderr).strip().removeprefix("fatal: ")
        raise CommandError(f"git cannot tell what is staged: {reason}", exit_code=EXIT_USAGE)
    return answer.stdout


@contextmanager
def _blob(blob: str) -> Iterator[BinaryIO]:
    """The content of a git object, as a stream. Raises OSError if git fails."""
    command = [_GIT, "cat-file", "blob", blob]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - see _GIT
        yield cast("BinaryIO", process.stdout)
        if process.wait() != 0:
            raise OSError(f"git cannot show the object {blob}")
