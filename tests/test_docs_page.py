"""The page for people at /docs."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
from tests.usage.world import Clock, World

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.openapi.page import page


class Tags(HTMLParser):
    """Collects what a page holds; void elements aside, every tag must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.names.add(tag)
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        self.links.add(values.get("href") or "")
        assert not {"src", "style", "onclick"} & set(values)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes the last one."""
        assert self.open.pop() == tag


@pytest.fixture
async def documents(tmp_path: Path) -> tuple[httpx2.Response, httpx2.Response]:
    """The page and the description, asked for without a key."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'aitbc.db'}")
    await migrate.upgrade(database)
    async with World(database, tmp_path, Clock()).server() as client:
        answers = await client.get("/docs"), await client.get("/openapi.json")
    await database.close()
    return answers


async def test_it_lists_every_operation_and_object(documents: tuple[httpx2.Response, httpx2.Response]) -> None:
    """What the description has, the page has: an entry each, reachable by its id, every link with its target."""
    answer, description = documents
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    tags = Tags()
    tags.feed(answer.text)
    assert tags.open == []
    document = description.json()
    operations = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}
    assert operations | set(document["components"]["schemas"]) <= tags.ids
    assert {link.removeprefix("#") for link in tags.links if link.startswith("#")} <= tags.ids
    for words in (
        "POST /v1/api-keys/{key_id}/regenerate",
        "Needs the scope <code>jobs:write</code>",
        "Any API key will do",
    ):
        assert words in answer.text


async def test_it_loads_nothing_and_runs_nothing(documents: tuple[httpx2.Response, httpx2.Response]) -> None:
    """ASVS 3.4.3: no script, no asset of anybody; its own style alone, by its hash."""
    answer, _ = documents
    tags = Tags()
    tags.feed(answer.text)
    assert not {"script", "link", "img", "iframe", "form", "base"} & tags.names
    assert "//" not in answer.text
    policy = answer.headers["content-security-policy"]
    (style,) = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_text_is_escaped() -> None:
    """ASVS 1.2.1: whatever a description says is text."""
    evil = "<script>alert(1)</script> `<b>`"
    answers = {"200": {"description": evil}}
    operation = {
        "tags": [evil],
        "operationId": "x",
        "summary": evil,
        "description": evil,
        "security": [],
        "responses": answers,
    }
    schema = {"description": evil, "properties": {evil: {"type": evil, "description": evil}}, "enum": [evil]}
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "paths": {f"/{evil}": {"get": operation}},
        "components": {"schemas": {evil: schema}},
    }
    made = page(document)
    assert "<script" not in made
    assert "<b>" not in made
    assert "<code>&lt;b&gt;</code>" in made
