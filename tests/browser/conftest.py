"""A real Chromium, and a real development server that it looks at. Both are shared by all tests of a run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from tests.browser.site import Site
from tests.e2e.processes import ServerProcess, running
from tools import browser as chromium_package


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser. Without one the tests are skipped, and fail where CI runs them."""
    path = chromium_package.find()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(chromium_package.MISSING)
    async with async_playwright() as playwright:
        # Playwright leaves out Chromium's sandbox, which root cannot have: only our own pages are opened.
        # The cache of the back button is on, as people have it.
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=["--disable-dev-shm-usage"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running ``aitbc dev`` on a free port, with its miner.

    Started from nothing and not traced: what a page takes is a subject here, and its code is covered by other tests.
    """
    folder = tmp_path_factory.mktemp("site") / "data"
    untraced = dict.fromkeys(("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"), "")
    options = ("--port", "0", "--data-dir", str(folder))
    with running("dev", *options, data_dir=folder, variables=untraced, cold=True) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(dev: ServerProcess, chromium: Browser) -> AsyncIterator[Site]:
    """The server with an operator, who owns its first tenant, seen by the browser."""
    site = Site(dev, chromium)
    await site.begin()
    yield site
    await site.close()
