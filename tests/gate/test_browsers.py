"""Who follows a link that leads nowhere is shown a page; clients of the API notice nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gate.factories import key
from tests.gate.served import Served

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.context import Context
from aitbc_server.gate.operations import UNMATCHED

KEY = "the-right-key"
BROWSER = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8")


async def page_not_found(context: Context, _scope: Any, _receive: Any) -> Answer:
    assert context.facts is None
    return 404, [(b"content-type", b"text/html; charset=utf-8")], b"<h1>Not found</h1>"


async def test_a_browser_that_follows_a_dead_link_is_shown_a_page() -> None:
    """A GET for HTML without a credential, on a path that no route takes; the app is not asked."""
    served = Served(handlers={UNMATCHED.operation.id: page_not_found})
    answer = await served.get("/v1/other", None, BROWSER)
    assert (answer.status, answer.body) == (404, b"<h1>Not found</h1>")
    assert answer.headers["content-security-policy"]
    assert served.app.contexts == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/other", [], 401),
        ("GET", "/v1/other", [("accept", "*/*")], 401),
        ("POST", "/v1/other", [BROWSER], 401),
        ("GET", "/v1/jobs", [BROWSER], 401),
        ("GET", "/v1/other", [BROWSER, ("x-api-key", "no key of ours")], 401),
        ("GET", "/v1/other", [BROWSER, ("x-api-key", "a"), ("x-api-key", "b")], 400),
        ("GET", "/v1/other", [BROWSER, ("x-api-key", KEY)], 404),
    ],
)
async def test_clients_of_the_api_are_answered_as_ever(
    method: str, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    """The page is for who sent no credential and asked for HTML where there is nothing. ASVS 8.3.1."""
    for handlers in ({}, {UNMATCHED.operation.id: page_not_found}):
        served = Served(handlers=handlers)
        served.add_key(KEY, key())
        answer = await served.call(method, path, None, *headers)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_without_a_page_for_it_a_browser_is_told_what_everybody_is() -> None:
    """A gate in front of an app that has no pages stays as it was."""
    answer = await Served().get("/v1/other", None, BROWSER)
    assert (answer.status, answer.json["code"]) == (401, "missing_api_key")
