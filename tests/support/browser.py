"""A browser without JavaScript: keeps cookies, reads forms, sends them as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import httpx2

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}


class FormOnPage:
    """A form as it stands in a page: where it goes, and what it would send as it is."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.action = attributes.get("action", "")
        self.method = attributes.get("method", "get").lower()
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[str] = []


class Page(HTMLParser):
    """What a test asks of a page: its text, its forms, its links and its elements."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.forms: list[FormOnPage] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.ids: dict[str, str] = {}
        self._texts: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._select = ""
        self.feed(answer.text)

    @property
    def text(self) -> str:
        """What is read on the page, with single spaces."""
        return " ".join(" ".join(self._texts).split())

    def form(self, action: str) -> FormOnPage:
        """The form that is sent to ``action``."""
        [found] = [form for form in self.forms if form.action == action]
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            self._open.append((tag, attributes.get("id", "")))
        if tag == "form":
            self.forms.append(FormOnPage(attributes))
        elif tag == "a":
            self.links.append(attributes.get("href", ""))
        elif self.forms:
            self._field(tag, attributes)

    def _field(self, tag: str, attributes: dict[str, str]) -> None:
        fields, name = self.forms[-1].fields, attributes.get("name", "")
        if tag == "input":
            ticked = attributes.get("type") not in {"checkbox", "radio"} or "checked" in attributes
            if name and ticked:
                fields.append((name, attributes.get("value", "on" if "checked" in attributes else "")))
        elif tag == "textarea":
            fields.append((name, ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in attributes:
            fields.append((self._select, attributes.get("value", "")))
        elif tag == "button":
            self.forms[-1].buttons.append(attributes.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._open and self._open[-1][0] in {"script", "style"}:
            return
        self._texts.append(data)
        for _, element_id in self._open:
            if element_id:
                self.ids[element_id] = self.ids.get(element_id, "") + data
        if self._open and self._open[-1][0] == "textarea":
            name, _ = self.forms[-1].fields[-1]
            self.forms[-1].fields[-1] = (name, data.removeprefix("\n"))


class Browser:
    """One browser. ``cookies`` are sent with every request; answers set and delete them."""

    def __init__(self, client: httpx2.AsyncClient, origin: str = "http://localhost") -> None:
        self._client = client
        self.origin = origin
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> Page:
        """The page at a path, without following redirects."""
        return await self._send("GET", path, {"accept": HTML, "sec-fetch-site": "same-origin", **headers})

    async def head(self, path: str) -> Page:
        """The same without the page."""
        return await self._send("HEAD", path, {"accept": HTML, "sec-fetch-site": "same-origin"})

    async def follow(self, page: Page) -> Page:
        """Where a redirect leads, to its end."""
        while page.answer.is_redirect:
            page = await self.get(page.answer.headers["location"])
        return page

    async def submit(self, page: Page, action: str, **values: Any) -> Page:
        """Send a form of the page with these values for its own: a list ticks several boxes, None leaves out."""
        fields = [(name, value) for name, value in page.form(action).fields if name not in values]
        for name, value in values.items():
            each = value if isinstance(value, list) else [] if value is None else [value]
            fields += [(name, str(text)) for text in each]
        return await self.post(action, fields)

    async def post(self, path: str, fields: Any = (), headers: dict[str, str] | None = None) -> Page:
        """Send any form."""
        own = {
            "accept": HTML,
            "content-type": "application/x-www-form-urlencoded",
            "origin": self.origin,
            "sec-fetch-site": "same-origin",
        }
        content = urlencode(list(fields.items()) if isinstance(fields, dict) else list(fields))
        return await self._send("POST", path, {**own, **(headers or {})}, content=content.encode())

    async def _send(self, method: str, path: str, headers: dict[str, str], content: bytes = b"") -> Page:
        sent = {name: value for name, value in headers.items() if value}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        url = path if path.startswith("http") else f"{self.origin}{path}"
        answer = await self._client.request(method, url, headers=sent, content=content)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return Page(answer)
