"""`make run` and `make test` install once, repair what is broken, and say what is wrong in one line.

The tree under test has a space in its path, a real virtual environment, and a uv that only writes down how
it was called: what uv itself does is uv's promise, when it is called is ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# `sync` is counted; files beside the log make it fail, take the installer down with it, or wait.
UV = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = --version ]; then echo "uv $(cat "$here/version")"; exit; fi
echo "$@" >> "$here/log"
if [ -e "$here/fails" ]; then exit 1; fi
if [ -e "$here/dies" ]; then kill -9 $PPID; fi
while [ -e "$here/waits" ]; do sleep 0.05; done
"""


class Tree:
    """A copy of what the installation depends on, and a uv beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a tree"
        self.bin = folder / "bin"
        self.venv = self.root / ".venv"
        (self.root / "tools").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("pyproject.toml", "uv.lock", "tools/bootstrap.sh", "tools/install.py"):
            shutil.copy(ROOT / name, self.root / name)
        self.set("version", "99.0.0")
        (self.bin / "uv").write_text(UV, encoding="utf-8")
        (self.bin / "uv").chmod(0o755)

    def set(self, name: str, text: str = "") -> Path:
        """Tell the uv beside the tree how to behave."""
        (self.bin / name).write_text(text, encoding="utf-8")
        return self.bin / name

    def start(self, level: str, **settings: str) -> subprocess.Popen[str]:
        """Start the installation of a level, as the Makefile does."""
        base = {"PATH": f"{self.bin}:/usr/bin:/bin", "PYTHON": sys.executable}
        return subprocess.Popen(
            ["/bin/sh", "tools/bootstrap.sh", level],
            cwd=self.root,
            env=base | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def install(self, level: str, **settings: str) -> tuple[int, str]:
        """Install a level. Returns the exit code and what was said; stdout stays empty."""
        process = self.start(level, **settings)
        out, err = process.communicate(timeout=60)
        assert out == ""
        return process.returncode, err

    def syncs(self) -> list[str]:
        """How uv was called so far."""
        log = self.bin / "log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_level_is_installed_once(tree: Tree) -> None:
    """The first call installs what the lock says; the second calls nothing and says nothing."""
    assert tree.install("server")[0] == 0
    (call,) = tree.syncs()
    assert call.startswith("sync --frozen --inexact --no-default-groups --extra server --python")
    assert (tree.venv / "bin" / "activate").exists()
    assert tree.install("server") == (0, "")
    assert tree.syncs() == [call]


def test_going_to_and_fro_between_run_and_test_installs_nothing(tree: Tree) -> None:
    """The level of the tests holds the server's, so that only the step up installs."""
    for level in ("server", "dev", "server", "dev"):
        assert tree.install(level)[0] == 0
    assert len(tree.syncs()) == 2
    assert "--group dev" in tree.syncs()[1]


def test_only_what_decides_an_installation_causes_one(tree: Tree) -> None:
    """A linter's setting installs nothing (offline it could not); a dependency or the lock does."""
    tree.install("server")
    pyproject = tree.root / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace("[tool.ruff]", "[tool.ruff]\nfix = false"), encoding="utf-8")
    tree.install("server")
    assert len(tree.syncs()) == 1
    pyproject.write_text(text.replace('"rich>=14"', '"rich>=15"'), encoding="utf-8")
    tree.install("server")
    assert len(tree.syncs()) == 2
    with (tree.root / "uv.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    tree.install("server")
    assert len(tree.syncs()) == 3


@pytest.mark.parametrize("part", ["bin/python", "bin/activate", "pyvenv.cfg"])
def test_a_half_made_environment_is_made_anew(tree: Tree, part: str) -> None:
    """What an interrupted call left without a Python or its scripts is replaced by the next one."""
    tree.install("server")
    (tree.venv / part).unlink()
    assert tree.install("server")[0] == 0
    assert (tree.venv / part).exists()
    assert len(tree.syncs()) == 2


def test_the_python_that_is_named_is_the_one_that_is_used(tree: Tree) -> None:
    """PYTHON=... replaces an environment of another version; without it, what is there goes on being used."""
    tree.install("server")
    python = tree.venv / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\necho True 3.99.0\n", encoding="utf-8")
    python.chmod(0o755)
    (tree.bin / "python3.13").symlink_to(sys.executable)
    assert tree.install("server", PYTHON="") == (0, "")
    assert tree.install("server")[0] == 0
    assert python.is_symlink()


def test_an_installation_that_was_killed_is_not_trusted(tree: Tree) -> None:
    """A package may be half written when uv is killed, so the next call starts from an empty environment."""
    dies = tree.set("dies")
    assert tree.install("server")[0] != 0
    half_written = tree.venv / "half-written"
    half_written.touch()
    dies.unlink()
    assert tree.install("server")[0] == 0
    assert not half_written.exists()
    assert tree.install("server") == (0, "")


def test_an_installation_that_fails_keeps_what_worked(tree: Tree) -> None:
    """Without network the call fails with one line, the environment stays, and the next call tries again."""
    tree.install("server")
    kept = tree.venv / "kept"
    kept.touch()
    fails = tree.set("fails")
    code, said = tree.install("dev")
    assert code == 1
    assert said.splitlines()[-1] == "error: not everything could be installed (is the network there?)"
    fails.unlink()
    assert tree.install("dev")[0] == 0
    assert kept.exists()


def test_a_tree_that_was_moved_is_installed_anew(tree: Tree) -> None:
    """Scripts in the environment carry the old path: none of them survives a move."""
    tree.install("server")
    stale = tree.venv / "bin" / "stale"
    stale.touch()
    tree.root = tree.root.rename(tree.root.with_name("moved here"))
    assert tree.install("server")[0] == 0
    assert not (tree.root / ".venv" / "bin" / "stale").exists()


def test_two_calls_at_once_install_once(tree: Tree) -> None:
    """The second of two terminals waits for the first and then finds the work done."""
    waits = tree.set("waits")
    first = tree.start("dev")
    deadline = time.monotonic() + 30
    while not tree.syncs() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = tree.start("server")
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    waits.unlink()
    assert first.wait(timeout=60) == 0
    assert second.wait(timeout=60) == 0
    first.communicate()
    second.communicate()
    assert len(tree.syncs()) == 1


def test_a_uv_that_cannot_read_the_lock_is_not_used(tree: Tree) -> None:
    """An old uv on PATH is passed over for one in the environment."""
    tree.set("version", "0.4.30")
    fallback = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    code, said = tree.install("server", **fallback)
    assert code == 1
    assert "error: uv could not be installed" in said
    assert tree.syncs() == []


def test_no_suitable_python_is_said_so(tree: Tree) -> None:
    """A name that answers nothing, as version managers leave them on PATH, is not taken for a Python."""
    stand_in = tree.bin / "python3.12"
    stand_in.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n", encoding="utf-8")
    stand_in.chmod(0o755)
    code, said = tree.install("server", PYTHON="", PATH=str(tree.bin))
    assert code == 1
    assert said.startswith("error: AITBC needs Python 3.11 or newer, and none was found on PATH.\nhint: ")
    code, said = tree.install("server", PYTHON=str(stand_in))
    assert (code, said) == (1, f"error: PYTHON={stand_in} is not a Python 3.11 or newer.\n")


def test_a_level_that_does_not_exist_is_refused(tree: Tree) -> None:
    """A mistyped level is a usage error and installs nothing."""
    assert tree.install("production") == (2, "usage: install.py server|dev\n")
    assert not tree.venv.exists()
