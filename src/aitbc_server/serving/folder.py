"""The data folder: made, checked, and locked to one server."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from aitbc_server.serving.errors import StartError
from aitbc_server.settings import reason

_ATTEMPTS = 5
_BETWEEN_ATTEMPTS_S = 0.05
_HINT = "AITBC_DATA_DIR names the folder; it must belong to the user that runs the server"


def prepare(folder: Path) -> None:
    """Make the folder where there is none, for its owner alone. Raises StartError where nothing can be written.

    One that is fresh ignores itself in git: what comes into it are secrets.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raise StartError where nothing can be written into a folder that is there."""
    try:
        # Permission bits do not tell: the user may be root, the file system read-only, the disk full.
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"aitbc")
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> StartError:
    return StartError(f"the data folder {folder} cannot be written to: {reason(error)}", hint=_HINT)


class FolderLock:
    """Held by the process that serves a folder; the system lets go of it when that process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = lock_path(folder)
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises StartError that names the folder and the process that has it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(file):
            os.close(file)
            raise _taken(self._path.parent)
        self._file = file
        self.note()

    def note(self, url: str = "") -> None:
        """Write down which process has the folder, and where it answers, for whoever asks."""
        assert self._file is not None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()} {url}\n".encode(), 0)

    def release(self) -> None:
        """Let go of the lock. The file stays: removing it would let two servers hold a lock of the same name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _locked(file: int) -> bool:
    # Who only asks whether a server runs holds the lock for a moment, too: a server does not give up at once.
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_ATTEMPTS_S)
        else:
            return True
    return False


def lock_path(folder: Path) -> Path:
    """Where a folder's lock is."""
    return folder / "server.lock"


def ensure_free(folder: Path) -> None:
    """Raise StartError where a server runs on the folder; nothing is made, and nothing is taken."""
    if is_served(folder):
        raise _taken(folder)


def _taken(folder: Path) -> StartError:
    pid, _ = holder(folder)
    who = f" (process {pid})" if pid else ""
    return StartError(
        f"another server{who} is running on the data folder {folder}",
        hint="stop it, or give this one a folder of its own",
    )


def is_served(folder: Path) -> bool:
    """Whether a server runs on this folder now."""
    try:
        file = os.open(lock_path(folder), os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared: two that only ask do not see each other as servers.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def holder(folder: Path) -> tuple[str, str]:
    """The process that took the folder's lock last, and the URL under which it answers; empty: not known."""
    try:
        pid, _, url = lock_path(folder).read_text(encoding="utf-8").strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return "", ""
    return pid, url
