"""Bring `.venv` to what uv.lock says, for one level: `server` (what AITBC needs to run) or `dev` (tests too).

Nothing is done, and no network is used, while a stamp in `.venv` says that this level of this tree is in
place. A stamp is written last, so the next call repairs what an interrupted one left behind.
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

VENV = Path(".venv")
VENV_PYTHON = VENV / "bin" / "python"
VENV_UV = VENV / "bin" / "uv"
# Scripts in `.venv/bin` carry the folder's absolute path, so an environment that was moved is made anew.
MADE_IN = VENV / ".made-in"
# There while packages are being written: who finds it cannot trust what is installed.
UNFINISHED = VENV / ".unfinished"
OLDEST_UV = (0, 9)
# `dev` holds all of `server`: who has it can run the server, and going to and fro installs nothing.
LEVELS = {
    "server": ["--extra", "server"],
    "dev": ["--all-extras", "--group", "dev"],
}
SATISFIED_BY = {"server": ["server", "dev"], "dev": ["dev"]}
# The parts of pyproject.toml that decide what is installed: a change of a linter's settings is none of them.
INSTALL_TABLES = ("build-system", "project", "dependency-groups")
INSTALL_TOOLS = ("hatch", "uv")

NOT_INSTALLED = "not everything could be installed (is the network there?)"
NO_PIP = "there is neither uv nor Python's ensurepip: install uv, or (Debian, Ubuntu) apt install python3-venv"


class InstallError(Exception):
    """The environment could not be made; the text is for the person who typed the command."""


def main(arguments: list[str]) -> int:
    """Install one level into `.venv` of the current folder. Returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in LEVELS:
        say(f"usage: install.py {'|'.join(LEVELS)}")
        return 2
    try:
        with one_at_a_time():
            install(arguments[0])
    except InstallError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the next call takes the installation up again.")
        return 130
    return 0


def install(level: str) -> None:
    """Make the environment fit, unless its stamp says that it does.

    Raises InstallError where the environment cannot be made or a package cannot be installed.
    """
    wanted = fingerprint()
    usable = venv_is_usable()
    if usable and any(text_of(stamp_path(name)) == wanted for name in SATISFIED_BY[level]):
        return
    say(f"Installing AITBC into {VENV} ...")
    if not usable:
        make_venv()
    for name in LEVELS:
        stamp_path(name).unlink(missing_ok=True)
    MADE_IN.write_text(str(Path.cwd()), encoding="utf-8")
    sync(level)
    stamp_path(level).write_text(wanted, encoding="utf-8")


def fingerprint() -> str:
    """Name what an installation depends on: the lock and the package's metadata."""
    document = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    relevant = {name: document.get(name) for name in INSTALL_TABLES}
    relevant["tool"] = {name: document.get("tool", {}).get(name) for name in INSTALL_TOOLS}
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode())
    digest.update(Path("uv.lock").read_bytes())
    return digest.hexdigest()


def stamp_path(level: str) -> Path:
    """Where the stamp of a level lies. It goes with the environment when that is deleted."""
    return VENV / f".installed-{level}"


def text_of(path: Path) -> str:
    """Read a small file; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def venv_is_usable() -> bool:
    """Tell whether `.venv` is whole, belongs to this folder, and its Python starts and is new enough."""
    if UNFINISHED.exists() or text_of(MADE_IN) not in {"", str(Path.cwd())}:
        return False
    # Of all that Python's venv module writes, the activation scripts come last.
    if not (VENV / "bin" / "activate").exists():
        return False
    check = "import sys; print(sys.version_info >= (3, 11) and sys.prefix != sys.base_prefix, sys.version)"
    fits, _, version = output_of([str(VENV_PYTHON), "-I", "-c", check]).partition(" ")
    # Who names a Python gets that one, which is also the one that runs this; else what is there will do.
    return fits == "True" and (not os.environ.get("PYTHON") or version == sys.version)


def make_venv() -> None:
    """Make `.venv` from the Python that runs this, in place of what is left of an older one."""
    # Pip is left out here: where uv is on PATH nobody needs it.
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)], "the environment was not made")


def sync(level: str) -> None:
    """Install what the lock says for a level.

    Inexact: packages that are there and not in this level stay, uv itself among them.
    """
    command = [find_uv(), "sync", "--frozen", "--inexact", "--no-default-groups", *LEVELS[level]]
    UNFINISHED.touch()
    try:
        run(
            [*command, "--python", str(VENV_PYTHON)],
            NOT_INSTALLED,
        )
    except InstallError:
        # It ended by itself, so nothing is half written, and what worked before goes on working.
        UNFINISHED.unlink()
        raise
    UNFINISHED.unlink()


def find_uv() -> str:
    """Return the uv on PATH, or else one in the environment, which is installed there where it is missing."""
    on_path = shutil.which("uv")
    if on_path and uv_is_recent(on_path):
        return on_path
    if not uv_is_recent(str(VENV_UV)):
        if output_of([str(VENV_PYTHON), "-m", "pip", "--version"]) == "":
            run([str(VENV_PYTHON), "-m", "ensurepip", "--default-pip"], NO_PIP, quiet=True)
        oldest = ".".join(map(str, OLDEST_UV))
        pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run([*pip, f"uv>={oldest}"], "uv could not be installed (is the network there?)")
    return str(VENV_UV)


def uv_is_recent(program: str) -> bool:
    """Tell whether this is a uv that reads our lock."""
    match = re.match(r"uv (\d+)\.(\d+)", output_of([program, "--version"]))
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_UV


def environment() -> dict[str, str]:
    """The caller's environment, with what makes uv use `.venv` and no Python of its own choosing."""
    # Another active environment, or a Python chosen for other projects, has no say here.
    others = {"VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"}
    settings = {name: value for name, value in os.environ.items() if name not in others}
    settings |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    # As pip does: a company's own certificate authority is in the system's store, not in the one uv brings.
    store = ssl.get_default_verify_paths()
    if store.cafile or store.capath:
        settings.setdefault("UV_SYSTEM_CERTS", "true")
    return settings


def run(command: list[str], reason: str, *, quiet: bool = False) -> None:
    """Run a command, its output on stderr (quiet: only its errors). Raises InstallError with the reason."""
    stdout = subprocess.DEVNULL if quiet else sys.stderr.fileno()
    if subprocess.run(command, env=environment(), stdout=stdout, check=False).returncode != 0:
        raise InstallError(reason)


def output_of(command: list[str]) -> str:
    """What a command printed, or nothing when it is missing or fails."""
    try:
        return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold off a second installation in this folder until the first is done."""
    folder = os.open(".", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another installation is running in this folder; waiting for it ...")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def say(text: str) -> None:
    """Tell the person something; stdout is left to the command that comes after."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
