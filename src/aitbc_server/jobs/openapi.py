"""The description of a body that is read by hand, from the struct that it is read into."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema

_NAMES = {
    "minimum": "minimum",
    "maximum": "maximum",
    "minLength": "min_length",
    "maxLength": "max_length",
    "maxItems": "max_items",
    "default": "default",
    "description": "description",
}


def properties_of(struct: type[msgspec.Struct]) -> dict[str, Schema]:
    """The properties of a struct's JSON, for the OpenAPI."""
    (schema,), components = msgspec.json.schema_components([struct])
    definition = components[schema["$ref"].rpartition("/")[2]]
    return {name: _schema(each, components) for name, each in definition["properties"].items()}


def _schema(part: dict[str, Any], components: dict[str, Any]) -> Schema:
    if "$ref" in part:
        part = components[part["$ref"].rpartition("/")[2]]
    known = {ours: part[name] for name, ours in _NAMES.items() if name in part}
    if "anyOf" in part:
        return Schema(one_of=[_schema(each, components) for each in part["anyOf"]], **known)
    if "properties" in part:
        known["properties"] = {name: _schema(each, components) for name, each in part["properties"].items()}
        known["additional_properties"] = part.get("additionalProperties", True)
    if isinstance(part.get("items"), dict):
        known["items"] = _schema(part["items"], components)
    return Schema(type=OpenAPIType(part["type"]), **known)
