"""The description as a page for people: one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Only this page's own style, and nothing else from anywhere. (ASVS 3.4.3)
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_REFERENCE = "#/components/schemas/"
_CODE = re.compile(r"``?([^`]+)``?")
_AREAS = {"api_keys": "API keys", "audit_log": "Audit log", "health": "Health", "docs": "Documentation"}


def page(document: dict[str, Any]) -> str:
    """The whole page for an OpenAPI document."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} API, version {escape(info['version'])}</h1>",
        f"<p>{_text(info['description'])}</p>",
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
        *_areas(document["paths"]),
        "<h2>Objects</h2>",
        *(_object(name, schema) for name, schema in document["components"]["schemas"].items()),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _areas(paths: dict[str, Any]) -> Iterator[str]:
    areas: dict[str, list[str]] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            areas.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    for area, operations in areas.items():
        yield f"<h2>{escape(_AREAS.get(area, area.capitalize()))}</h2>"
        yield from operations


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    title = f"<code>{method} {escape(path)}</code> {_text(operation['summary'])}"
    parameters = _table(
        ("Parameter", "In", "Type", ""),
        (
            (
                f"<code>{escape(each['name'])}</code>",
                escape(each["in"]),
                _type(each["schema"]),
                _text(each.get("description", "")),
            )
            for each in operation.get("parameters", ())
        ),
    )
    body = "".join(
        f"<p>Body: {_type(content['schema'])}</p>"
        for content in operation.get("requestBody", {}).get("content", {}).values()
    )
    answers = _table(("Answer", "Body", ""), (_answer(*each) for each in sorted(operation["responses"].items())))
    return (
        f'<details id="{escape(operation["operationId"])}"><summary>{title}</summary>'
        f"<p>{_text(operation['description'])}</p><p>{_needs(operation['security'])}</p>"
        f"{parameters}{body}{answers}</details>"
    )


def _needs(security: list[dict[str, list[str]]]) -> str:
    if not security:
        return "Answered without an API key."
    scopes = next(iter(security[0].values()))
    return f"Needs the scope <code>{escape(scopes[0])}</code>." if scopes else "Any API key will do."


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str, str]:
    bodies = [_type(content["schema"]) for content in answer.get("content", {}).values()]
    return f"<code>{escape(status)}</code>", " ".join(bodies), _text(answer["description"])


def _object(name: str, schema: Schema) -> str:
    required = set(schema.get("required", ()))
    fields = _table(
        ("Field", "Type", ""),
        (
            (
                f"<code>{escape(field)}</code>" + (' <span class="quiet">required</span>' if field in required else ""),
                _type(kind),
                _text(kind.get("description", "")),
            )
            for field, kind in schema.get("properties", {}).items()
        ),
    )
    values = " or ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", ()))
    return (
        f'<section class="object" id="{escape(name)}"><h3>{escape(name)}</h3>'
        f"<p>{_text(schema.get('description', ''))}</p>{f'<p>{values}</p>' if values else ''}{fields}</section>"
    )


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REFERENCE))
        return f'<a href="#{name}">{name}</a>'
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return " or ".join(_type(each) for each in alternatives)
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(schema['items'])}"
    kind = schema.get("format") or schema.get("type", "anything")
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _text(text: str) -> str:
    """Prose with `code` in backticks, escaped."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
