"""What whoever installs the distribution gets: the names that are promised, and the files that they need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import aitbc
from aitbc import exceptions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_everything_that_is_exported_is_there() -> None:
    """``from aitbc import *`` works, and so does each name by itself."""
    names: dict[str, object] = {}
    exec("from aitbc import *", names)  # noqa: S102 - the statement is the subject
    assert set(aitbc.__all__) <= set(names)
    assert set(aitbc.__all__) <= set(dir(aitbc))
    assert all(getattr(aitbc, name) is not None for name in aitbc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'AITBCServer'"):
        _ = aitbc.AITBCServer


def test_the_lines_of_the_design_work() -> None:
    """The names that section 9 of the design imports, and every error that its tree has."""
    from aitbc import AITBCClient, AsyncAITBCClient
    from aitbc.exceptions import AuthenticationError

    assert [AITBCClient.__name__, AsyncAITBCClient.__name__] == ["AITBCClient", "AsyncAITBCClient"]
    tree = {
        "APIConnectionError": "AITBCError",
        "APITimeoutError": "APIConnectionError",
        "APIStatusError": "AITBCError",
        **dict.fromkeys(
            [
                "BadRequestError",
                "AuthenticationError",
                "PermissionDeniedError",
                "NotFoundError",
                "ConflictError",
                "ValidationError",
                "RateLimitError",
                "ServerError",
            ],
            "APIStatusError",
        ),
    }
    for name, parent in tree.items():
        assert issubclass(getattr(exceptions, name), getattr(exceptions, parent)), name
    assert issubclass(AuthenticationError, exceptions.AITBCError)


def test_the_wheel_has_every_file_of_both_packages(wheel: zipfile.ZipFile) -> None:
    """Whatever lies in ``src`` and is no compiled file is in the wheel: types, migrations, templates, styles."""
    packed = set(wheel.namelist())
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= packed
    assert {
        "aitbc/py.typed",
        "aitbc_server/py.typed",
        "aitbc_server/db/migrations/env.py",
        "aitbc_server/db/migrations/script.py.mako",
        "aitbc_server/db/migrations/versions/0001_initial.py",
    } <= packed


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No test, benchmark, tool, secret or database goes with it; its own folder has the licence and the command."""
    own = {name for name in wheel.namelist() if ".dist-info/" in name}
    assert {name.partition("/")[0] for name in set(wheel.namelist()) - own} == {"aitbc", "aitbc_server"}
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".db", ".key", ".env", ".log"))]
    [entry_points] = [wheel.read(name).decode() for name in own if name.endswith("/entry_points.txt")]
    assert "aitbc = aitbc.cli:main" in entry_points
    assert any(name.endswith("/licenses/LICENSE") for name in own)


def test_the_wheel_works_by_itself(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Unpacked elsewhere, and without this tree, both packages import and the command runs."""
    wheel.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import aitbc, aitbc_server.app, aitbc_server.db.migrate; "
        "print(aitbc.__file__, aitbc_server.app.__file__); from aitbc.cli import main; main(['--version'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(str(tmp_path)) == 2
    assert aitbc.__version__ in ran.stdout
