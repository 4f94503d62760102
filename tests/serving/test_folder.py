"""The data folder's lock: held by a process, seen by others, gone with the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aitbc_server.serving import folder
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.folder import FolderLock, holder, is_served

HOLD = """
import sys, time
from pathlib import Path
from aitbc_server.serving.folder import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
lock.note("http://127.0.0.1:1")
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_tells_who_has_it_and_ends_with_its_process(tmp_path: Path) -> None:
    """Whoever asks learns of the server, its process and its address; SIGKILL lets go of the lock."""
    assert not is_served(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert is_served(tmp_path)
    assert holder(tmp_path) == (str(other.pid), "http://127.0.0.1:1")
    with pytest.raises(StartError, match=rf"another server \(process {other.pid}\) is running on the data folder"):
        FolderLock(tmp_path).acquire()
    other.kill()
    other.wait()
    other.stdout.close()
    assert not is_served(tmp_path)
    lock = FolderLock(tmp_path)
    lock.acquire()
    assert holder(tmp_path) == (str(os.getpid()), "")
    lock.release()
    lock.release()
    assert not is_served(tmp_path)


def test_a_lock_file_with_nonsense_in_it_breaks_nothing(tmp_path: Path) -> None:
    """The lock is the system's; what is written in the file is only for people."""
    folder.lock_path(tmp_path).write_bytes(b"\xff\xfe")
    assert holder(tmp_path) == ("", "")
    assert not is_served(tmp_path)


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A folder of ours is 0700 and ignores itself in git, and nothing else is left in it by the check."""
    folder.prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == [".gitignore"]
    assert (tmp_path / "a" / "b" / ".gitignore").read_text(encoding="utf-8") == "*\n"
    (tmp_path / "a" / ".gitignore").write_text("mine", encoding="utf-8")
    folder.prepare(tmp_path / "a")
    assert (tmp_path / "a" / ".gitignore").read_text(encoding="utf-8") == "mine"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError, match="cannot be written to: not a directory"):
        folder.prepare(tmp_path / "file" / "data")
