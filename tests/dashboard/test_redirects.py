"""Where a browser may be sent on to."""

from __future__ import annotations

import pytest

from aitbc_server.dashboard.redirects import path_of, same_site_path


@pytest.mark.parametrize("path", ["/", "/overview", "/api-keys/key_1?range=day", "/a?next=//b", "/%2F%2Fevil.example"])
def test_a_path_of_this_site_is_followed(path: str) -> None:
    """With its query."""
    assert same_site_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "overview",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: b=c",
        "/a\tb",
        " /a",
        "/a b",
        "/\t/evil.example",
        "/ä",
        "/a\\b",
        "/" + "a" * 2000,
    ],
)
def test_everything_else_leads_home(text: str | None) -> None:
    """ASVS 3.7.2: no other host, however it is spelled, and nothing that ends a header."""
    assert same_site_path(text) == "/"
    assert same_site_path(text, "/overview") == "/overview"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example/api-keys/new?x=1", "/api-keys/new"),
        ("https://A.example/", "/"),
        ("https://evil.example/a", None),
        ("https://a.example", None),
        ("https://[/a", None),
        ("", None),
    ],
)
def test_the_way_back_is_on_this_host(url: str, path: str | None) -> None:
    """As the Referer of a form says it."""
    assert path_of(url, "a.example") == path
