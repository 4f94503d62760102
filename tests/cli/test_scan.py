"""``aitbc scan`` in real git repositories and outside of them."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import Cli, process

from aitbc import keyformat
from aitbc.cli.scan_stream import find_keys

KEY = keyformat.build("live", "0123456789ab", "S" * 43)
SHOWN = f"aitbc_live_0123456789ab_…{KEY[-4:]}"


def git(*args: str) -> None:
    subprocess.run(["git", *args], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with nothing of git's own variables around."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    """An empty git repository that is the current folder."""
    git("init", "-q", ".")
    git("config", "user.email", "a@example.com")
    git("config", "user.name", "a")
    return folder


def test_a_key_is_found_and_masked(cli: Cli, folder: Path) -> None:
    """path:line:column and the id on standard output, exit 1, a hint; the secret appears nowhere."""
    (folder / "conf.ini").write_text(f"a\nkey = {KEY}; other={KEY}\n")
    ran = cli("scan")
    assert ran.code == 1
    assert ran.out.splitlines() == [f"conf.ini:2:7 {SHOWN}", f"conf.ini:2:88 {SHOWN}"]
    assert "1 key found in 1 file\n" in ran.err
    assert "hint: whoever saw such a file has the key: `aitbc api-keys revoke key_0123456789ab`" in ran.err
    assert "SSSS" not in ran.out + ran.err


def test_nothing_found_is_exit_0(cli: Cli, folder: Path) -> None:
    """Look-alikes with a wrong checksum, or within longer words, are no keys."""
    wrong = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")
    (folder / "a").write_text(f"{wrong} x{KEY} {KEY}x aitbc_live_ {KEY[:-1]}")
    ran = cli("scan")
    assert (ran.code, ran.out, ran.err) == (0, "", "no keys found in 1 file\n")


def test_json_lists_the_findings(cli: Cli, folder: Path) -> None:
    """Also an empty list; the secret is in neither."""
    (folder / "a").write_text(KEY)
    finding = {"path": "a", "line": 1, "column": 1, "key_id": "key_0123456789ab", "environment": "live"}
    assert cli("scan", "--output", "json").json == [{**finding, "masked": SHOWN}]
    shown = cli("scan", "--output", "json")
    # As every other command prints it, in a pipe that can show it.
    assert "_…" in shown.out or "\\u2026" in shown.out
    (folder / "a").unlink()
    assert cli("scan", "--output", "json").json == []


@pytest.mark.parametrize("ignored_by", ["its parent", "itself"])
def test_a_folder_that_git_ignores_is_looked_at_where_it_is_named(cli: Cli, repository: Path, ignored_by: str) -> None:
    """`aitbc scan build` finds what is in it, as naming its files does; without its name it is left out."""
    (repository / "build" / "deep").mkdir(parents=True)
    (repository / "build" / "deep" / "conf.ini").write_text(KEY)
    ignoring, what = (repository, "build") if ignored_by == "its parent" else (repository / "build", "*")
    (ignoring / ".gitignore").write_text(what)
    assert cli("scan").code == 0
    assert cli("scan", "build").out == f"build/deep/conf.ini:1:1 {SHOWN}\n"
    assert cli("scan", "build/deep").code == 1


def test_what_git_ignores_is_left_out_unless_it_is_named(cli: Cli, repository: Path) -> None:
    """Keys belong into ignored files. Tracked and new files are looked at, deleted ones are no trouble."""
    for name in ("tracked", "new", "deleted", "local.env", "sub/new"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(KEY)
    (repository / ".gitignore").write_text("*.env\n")
    git("add", "tracked", "deleted")
    (repository / "deleted").unlink()
    assert [line.partition(":")[0] for line in cli("scan").out.splitlines()] == ["new", "sub/new", "tracked"]
    assert [line.partition(":")[0] for line in cli("scan", "sub").out.splitlines()] == ["sub/new"]
    assert cli("scan", "local.env").code == 1


def test_outside_git_the_folders_of_tools_are_left_out(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is no git at all."""
    for name in (".venv/a", "node_modules/b/c", ".git/d", "src/e"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(KEY)
    assert cli("scan").out == f"src/e:1:1 {SHOWN}\n"
    monkeypatch.setenv("PATH", "")
    assert cli("scan").out == f"src/e:1:1 {SHOWN}\n"
    ran = cli("scan", "--staged")
    assert (ran.code, ran.err) == (2, "error: --staged needs git, which is not there\n")


def test_repositories_inside_are_looked_at_too(cli: Cli, repository: Path) -> None:
    """git lists them as one entry; the keys in them are as lost."""
    git("init", "-q", "inner")
    (repository / "inner" / "a").write_text(KEY)
    assert cli("scan").out == f"inner/a:1:1 {SHOWN}\n"


def test_staged_is_what_is_staged_and_not_what_is_there(cli: Cli, repository: Path) -> None:
    """The work tree may differ both ways; deleted files and submodules are no trouble; the first commit too."""
    (repository / "a b").write_text(KEY)
    git("add", "a b")
    (repository / "a b").write_text("clean")
    (repository / "later").write_text("clean")
    git("add", "later")
    (repository / "later").write_text(KEY)
    ran = cli("scan", "--staged")
    assert (ran.code, ran.out) == (1, f"a b:1:1 {SHOWN}\n")
    git("commit", "-qm", "oops")
    git("rm", "-q", "--cached", "a b")
    assert cli("scan", "--staged").err == "no keys found in 0 files\n"


def test_it_works_as_a_git_hook(repository: Path) -> None:
    """A commit that holds a key does not happen, from a subfolder too; one without does."""
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m aitbc.cli scan --staged\n")
    hook.chmod(0o755)
    (repository / "sub").mkdir()
    (repository / "sub" / "a").write_text(KEY)
    git("add", "sub")
    commit = ["git", "commit", "-m", "x"]
    refused = subprocess.run(commit, check=False, capture_output=True, text=True, cwd=repository / "sub")
    assert refused.returncode == 1
    assert f"sub/a:1:1 {SHOWN}" in refused.stdout + refused.stderr
    (repository / "sub" / "a").write_text("clean")
    git("add", "sub")
    assert subprocess.run(commit, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "content",
    [b"\0\xff" + KEY.encode() + b"\xff\0", KEY.encode("utf-16"), ("é\r\n" + KEY).encode("utf-8-sig")],
    ids=["binary", "UTF-16", "UTF-8 with a mark"],
)
def test_keys_are_found_whatever_the_file_is(content: bytes, cli: Cli, folder: Path) -> None:
    """Binaries byte by byte; UTF-16 is what PowerShell's > writes."""
    (folder / "a").write_bytes(content)
    assert cli("scan").code == 1


def test_what_cannot_be_read_is_exit_2(cli: Cli, folder: Path) -> None:
    """A scan that did not see everything has not found nothing."""
    (folder / "clean").write_text("clean")
    assert cli("scan", "nosuchfile").code == 2
    # As root every file can be read, so it is a file that gives an error to everyone.
    ran = cli("scan", "clean", "/proc/self/mem")
    assert ran.code == 2
    assert "error: cannot read /proc/self/mem: " in ran.err
    (folder / "found").write_text(KEY)
    assert cli("scan", "/proc/self/mem", "found").code == 1


def test_what_is_no_regular_file_is_never_waited_for(cli: Cli, repository: Path) -> None:
    """A pipe that nobody writes into would hold a scan for ever: passed over below a folder, an error by name."""
    os.mkfifo(repository / "pipe")
    (repository / "found").write_text(KEY)
    for _ in range(2):
        ran = cli("scan")
        assert (ran.code, ran.out) == (1, f"found:1:1 {SHOWN}\n")
        assert "pipe" not in ran.err
        shutil.rmtree(repository / ".git", ignore_errors=True)
    ran = cli("scan", "pipe", "found")
    assert (ran.code, ran.out) == (1, f"found:1:1 {SHOWN}\n")
    assert "error: cannot read pipe: it is not a regular file (`aitbc scan -` reads standard input)\n" in ran.err
    assert cli("scan", "pipe").code == 2


def test_names_steer_no_terminal_and_stay_on_their_line(cli: Cli, folder: Path) -> None:
    """A file's name may hold a line break, an escape sequence or any byte: each finding is one line of plain text."""
    for name in (b"a\nb:1:1 forged", b"\x1b[2Jc", b"d\te\xff"):
        (folder / os.fsdecode(name)).write_text(KEY)
    assert cli("scan").out.splitlines() == [
        f"\\x1b[2Jc:1:1 {SHOWN}",
        f"a\\nb:1:1 forged:1:1 {SHOWN}",
        f"d\\te\\udcff:1:1 {SHOWN}",
    ]
    assert [finding["path"] for finding in cli("scan", "--output", "json").json][1] == "a\nb:1:1 forged"
    os.mkfifo(folder / "p\nq")
    assert "cannot read p\\nq: " in cli("scan", "p\nq").err


def test_staged_takes_no_paths_and_needs_a_repository(cli: Cli, folder: Path) -> None:
    """Both are exit 2: nothing was looked at."""
    assert cli("scan", "--staged", "a").code == 2
    ran = cli("scan", "--staged")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: git cannot tell what is staged: not a git repository")


def test_standard_input_is_looked_at(cli: Cli) -> None:
    """`some command | aitbc scan -`."""
    assert cli("scan", "-", stdin=f"x\n{KEY}").out == f"(standard input):2:1 {SHOWN}\n"


def test_links_are_not_followed(cli: Cli, folder: Path) -> None:
    """A link may lead anywhere, round and round too; what it leads to is scanned where it is."""
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "link").symlink_to("/proc/self/mem")
    assert cli("scan").code == 0


def test_the_scanner_needs_nothing_but_click(folder: Path) -> None:
    """It runs before each commit: no SDK, no msgspec, no HTTP client, no rich is loaded for it."""
    (folder / "a").write_text(KEY)
    code = (
        "import sys; from aitbc.cli import main; main(['scan']); "
        "print(sorted({'msgspec', 'httpx2', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert process("scan", cwd=folder).returncode == 1


@given(
    pieces=st.lists(st.sampled_from([KEY, KEY[:40], KEY[30:], "\n", " ", "x", "aitbc_live_", "-" * 70]), max_size=12),
    chunk_bytes=st.integers(1, 200),
)
def test_chunks_change_nothing(pieces: list[str], chunk_bytes: int) -> None:
    """However a file is cut into chunks, the findings are those of the whole."""
    text = "".join(pieces)
    found = [(one.line, one.column) for one in find_keys(io.BytesIO(text.encode()), chunk_bytes)]
    expected = []
    for start, _ in keyformat.scan(text):
        before = text[:start]
        expected.append((before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1))
    assert found == expected
