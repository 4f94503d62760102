"""The pages of a real ``aitbc dev``, asked for by a browser and by the API's clients."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, running

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running development server."""
    folder = tmp_path_factory.mktemp("dev") / "data"
    with running("dev", "--port", "0", "--no-miner", "--data-dir", str(folder), data_dir=folder) as server:
        yield server


def test_it_says_where_the_dashboard_is(dev: ServerProcess) -> None:
    """In what it prints, under the one name that pages have."""
    assert f"Dashboard:   http://localhost:{dev.port}" in dev.text()


@pytest.mark.parametrize(
    "path", ["/sign-in", "/api-keys?q=a%20b", "/", "/api-keys/%E2%82%AC%00%0D%0Ax", "/device/%252F%3F"]
)
def test_pages_live_at_localhost(dev: ServerProcess, path: str) -> None:
    """A page that is asked for by address leads there, so that there is one set of cookies."""
    answer = httpx2.get(f"http://127.0.0.1:{dev.port}{path}", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://localhost:{dev.port}{path}")
    answer = httpx2.post(f"http://127.0.0.1:{dev.port}/sign-in", data={"a": "b"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://localhost:{dev.port}/sign-in")


def test_the_first_page_is_the_sign_in(dev: ServerProcess) -> None:
    """A newcomer who opens the address is led to a page that loads, with its styles."""
    with httpx2.Client(base_url=f"http://localhost:{dev.port}", headers=HTML, follow_redirects=True) as browser:
        page = browser.get("/")
        assert (page.status_code, page.url.path) == (200, "/sign-in")
        assert "aitbc-visitor" in page.headers["set-cookie"]
        # Over HTTP on loopback a browser would not send a Secure cookie back everywhere.
        assert "secure" not in page.headers["set-cookie"].lower()
        style = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert browser.get(style).headers["content-type"] == "text/css; charset=utf-8"


def test_the_api_answers_on_both_names(dev: ServerProcess) -> None:
    """Only pages move."""
    for name in ("127.0.0.1", "localhost"):
        assert httpx2.get(f"http://{name}:{dev.port}/v1/health").status_code == 200
        assert httpx2.get(f"http://{name}:{dev.port}/v1/jobs").status_code == 401
    lost = httpx2.get(f"http://127.0.0.1:{dev.port}/nothing", headers=HTML)
    assert (lost.status_code, "Page not found" in lost.text) == (404, True)
