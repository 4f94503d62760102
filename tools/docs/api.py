"""The HTTP API, from the OpenAPI document that the server itself answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.docs import openapi
from tools.docs.pages import from_docstring, table
from tools.docs.permissions import needs
from tools.docs.schema import Schemas

AREAS = {
    "/v1/api-keys": "API keys",
    "/v1/usage": "Usage",
    "/v1/jobs": "Jobs",
    "/v1/miners": "Miners",
    "/v1/audit-log": "Audit log",
    "": "Health and description",
}


OBJECTS = "*Required* fields must be in a body that is sent, and are always in an answer. Answers may gain fields."


def reference() -> str:
    """Every operation by area, then every object."""
    document, routes = openapi.load()
    schemas = Schemas(document.get("components", {}).get("schemas", {}))
    operations = {(route.method, route.path): route.operation for route in routes}
    sections = []
    for prefix, title in AREAS.items():
        sections.append(f"## {title}")
        for path, item in document["paths"].items():
            if _area(path) == prefix:
                for method, described in item.items():
                    operation = operations[method.upper(), path]
                    sections.append(_operation(method.upper(), path, described, needs(operation), schemas))
    sections.append(f"## Objects\n\n{OBJECTS}")
    sections += [_object(name, schema, schemas) for name, schema in schemas.objects()]
    return "\n\n".join(sections)


def _area(path: str) -> str:
    return next(prefix for prefix in AREAS if path.startswith(prefix))


def _operation(method: str, path: str, described: dict[str, Any], needed: str, schemas: Schemas) -> str:
    anchor = described["operationId"].replace(".", "-").replace("_", "-")
    parts = [f"### {method} {path} {{ #{anchor} }}"]
    if described.get("description"):
        parts.append(from_docstring(described["description"]))
    parts.append(f"Key: {needed}.")
    parts += _parameters(described.get("parameters", []), schemas)
    parts += _body(described.get("requestBody", {}), schemas)
    parts.append("\n".join(_answers(described["responses"], schemas)))
    return "\n\n".join(parts)


def _parameters(parameters: list[dict[str, Any]], schemas: Schemas) -> Iterator[str]:
    rows = [
        [
            f"`{one['name']}`",
            f"{one['in']}{', required' if one.get('required') and one['in'] != 'path' else ''}",
            # A parameter that may be left out may not be null: there is no null in a query.
            schemas.type_of(one["schema"]).removesuffix(" or null"),
            schemas.notes({"description": one.get("description"), **one["schema"]}),
        ]
        for one in parameters
    ]
    if rows:
        yield table(["parameter", "in", "type", ""], rows)


def _body(body: dict[str, Any], schemas: Schemas) -> Iterator[str]:
    for content in body.get("content", {}).values():
        yield f"Body: {schemas.type_of(content['schema'])}."
        return


def _answers(responses: dict[str, Any], schemas: Schemas) -> Iterator[str]:
    failures = []
    for status, response in sorted(responses.items()):
        if not status.startswith("2"):
            failures.append(f"`{status}`")
            continue
        contents = [schemas.type_of(content["schema"]) for content in response.get("content", {}).values()]
        yield f"- Answer: `{status}` {contents[0] if contents else 'without a body'}."
    if failures:
        yield f"- [Errors](errors.md): {', '.join(failures)}."


def _object(name: str, schema: dict[str, Any], schemas: Schemas) -> str:
    parts = [f"### {name}", schemas.text(name, schema), schemas.fields(schema)]
    return "\n\n".join(part for part in parts if part)
