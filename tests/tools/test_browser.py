"""`make test` gets a Chromium where root can install one, and says what is missing where nobody can."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import browser

# Installs by putting the program beside itself; what it was asked for is written down.
APT_GET = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/log"
case "$*" in *install*) printf '#!/bin/sh\\n' > "$(dirname "$0")/chromium"; chmod +x "$(dirname "$0")/chromium";; esac
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, beside what the stand-in for apt needs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(browser, "NAMES", ("chromium",))
    monkeypatch.setattr("shutil.which", lambda name: next(iter(map(str, tmp_path.glob(name))), None))
    return tmp_path


def apt_get(folder: Path, script: str = APT_GET) -> None:
    (folder / "apt-get").write_text(script, encoding="utf-8")
    (folder / "apt-get").chmod(0o755)


def test_what_is_there_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is installed, and nothing is said."""
    apt_get(folder)
    (folder / "chromium").touch()
    assert browser.main() == 0
    assert not (folder / "log").exists()
    assert capsys.readouterr().err == ""


def test_root_gets_it_from_the_system(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the system's packages, after the lists of them are fresh."""
    apt_get(folder)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert browser.main() == 0
    updated, installed = (folder / "log").read_text(encoding="utf-8").splitlines()
    assert updated.endswith("update")
    assert " chromium" in installed
    assert "Installing Chromium" in capfd.readouterr().err


@pytest.mark.parametrize(("user", "script"), [(1000, APT_GET), (0, "#!/bin/sh\nexit 100\n"), (0, "")])
def test_without_one_the_other_tests_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], user: int, script: str
) -> None:
    """Who is not root, has no network or no apt is told what to install, and tests what needs no browser."""
    if script:
        apt_get(folder, script)
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert browser.main() == 0
    assert "warning: no Chromium is on PATH: install it" in capfd.readouterr().err
