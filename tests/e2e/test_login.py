"""`aitbc login` from end to end: a real server, a real command line, and a browser that signs up and approves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, running
from tests.support.browser import Browser

PASSWORD = "unhappy-violet-otter"
TIMEOUT_S = 30.0


class CommandLine:
    """A person's command line, with a home of its own."""

    def __init__(self, home: Path, server: ServerProcess) -> None:
        self._home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AITBC_")}
        self._environment = kept | {
            "XDG_CONFIG_HOME": str(home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "AITBC_BASE_URL": server.url,
            "NO_COLOR": "1",
        }

    def __call__(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        ran = subprocess.run(
            [sys.executable, "-m", "aitbc", *args], env=self._environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == code, ran.stderr
        return ran

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Start a command; what it says goes into a file."""
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "aitbc", *args], env=self._environment, stdout=log, stderr=log
            )

    def said(self, pattern: str) -> str:
        """What the started command says that matches, once it does."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            found = re.search(pattern, self._log.read_text())
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    @property
    def _log(self) -> Path:
        return self._home / "said.txt"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A development server: it shows its mails on a page, and the first account owns test-tenant."""
    with running("dev", "--port", "0", "--no-miner", data_dir=tmp_path / ".aitbc", cwd=tmp_path) as process:
        yield process


@pytest.fixture
async def browser(server: ServerProcess) -> AsyncIterator[Browser]:
    """Somebody's browser. Pages of a development server live at localhost."""
    origin = f"http://localhost:{server.port}"
    async with httpx2.AsyncClient() as client:
        yield Browser(client, origin)


@pytest.fixture
def command_line(tmp_path: Path, server: ServerProcess) -> CommandLine:
    home = tmp_path / "home"
    home.mkdir()
    return CommandLine(home, server)


async def sign_up(browser: Browser) -> None:
    """Make an account, by the link in the mail that `/dev/mail` shows."""
    page = await browser.submit(await browser.get("/sign-up"), "/sign-up", email="ada@example.com", password=PASSWORD)
    await browser.follow(page)
    mails = await browser.get("/dev/mail")
    [link] = [link for link in mails.links if "/verify-email?token=" in link]
    await browser.submit(await browser.get(link), "/verify-email", password=PASSWORD)


async def approve(browser: Browser, code: str, **chosen: str) -> str:
    """Enter the code and approve; what the page says then."""
    page = await browser.submit(await browser.get("/device"), "/device", code=code)
    page = await browser.follow(page)
    [action] = [form.action for form in page.forms if form.action.endswith("/approve")]
    return (await browser.follow(await browser.submit(page, action, **chosen))).text


async def test_sign_in_use_and_sign_out(browser: Browser, command_line: CommandLine, server: ServerProcess) -> None:
    """The whole way: sign up, `aitbc login`, approve, `whoami`, a key made by the new key, `logout`, and no more."""
    await sign_up(browser)
    assert "hint: `aitbc login` signs you in" in command_line("whoami", code=3).stderr
    login = command_line.start("login", "--no-browser")
    code = command_line.said(r"enter the code ([A-Z]{4}-[A-Z]{4})")
    assert f"http://localhost:{server.port}/device" in command_line.said(r"(Open \S+)")
    assert "is signed in" in await approve(browser, code, environment="test")
    assert login.wait(TIMEOUT_S) == 0
    me = command_line("whoami")
    assert "the profile default (in " in me.stdout
    assert "test-tenant" in me.stdout
    made = command_line("api-keys", "create", "ci").stdout.strip()
    answer = httpx2.get(f"{server.url}/v1/jobs", headers={"X-API-Key": made})
    assert answer.status_code == 200
    mails = await browser.get("/dev/mail")
    assert "A new API key was made for a command line" in mails.text
    assert "is revoked and forgotten" in command_line("logout").stderr
    command_line("whoami", code=3)
    # What it made goes on: only its own key has ended.
    assert httpx2.get(f"{server.url}/v1/jobs", headers={"X-API-Key": made}).status_code == 200


async def test_a_denied_command_line_says_so(browser: Browser, command_line: CommandLine) -> None:
    """Exit 3, and nothing is kept."""
    await sign_up(browser)
    login = command_line.start("login", "--no-browser")
    code = command_line.said(r"enter the code ([A-Z]{4}-[A-Z]{4})")
    page = await browser.follow(await browser.submit(await browser.get("/device"), "/device", code=code))
    [action] = [form.action for form in page.forms if form.action.endswith("/approve")]
    await browser.post(action.replace("/approve", "/deny"), page.form(action).fields)
    assert login.wait(TIMEOUT_S) == 3
    assert command_line.said("(the sign-in was refused)")
    command_line("whoami", code=3)
