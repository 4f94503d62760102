"""JSON Schema, as far as the OpenAPI document uses it, in words."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import msgspec
from tools.docs.pages import from_docstring, table

from aitbc import schemas

Schema = dict[str, Any]

_NULL = {"type": "null"}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "pattern": "`{}`",
}
_SIZES = ("minLength", "minItems")


class Schemas:
    """The document's named schemas."""

    def __init__(self, named: dict[str, Schema]) -> None:
        self._named = named

    def objects(self) -> list[tuple[str, Schema]]:
        """The named objects as the page names them; enumerations and pages are told where they are used."""
        shown = [(name, schema) for name, schema in self._named.items() if self._has_section(name)]
        return sorted((_title(name, schema), schema) for name, schema in shown)

    def type_of(self, schema: Schema) -> str:
        """The type in a few words, with links to objects."""
        if schema.get("format") == "date-time":
            return "time or null" if _NULL in schema.get("oneOf", []) else "time"
        if "$ref" in schema:
            return self._reference(schema["$ref"].rpartition("/")[2])
        for combination in ("oneOf", "anyOf"):
            if combination in schema:
                return self._any_of(schema[combination])
        if "allOf" in schema:
            return " and ".join(self.type_of(one) for one in schema["allOf"])
        if "enum" in schema or "const" in schema:
            return _values(schema.get("enum", [schema.get("const")]))
        return self._plain(schema)

    def notes(self, schema: Schema) -> str:
        """Description, bounds and default, as a sentence or two."""
        parts = [from_docstring(str(schema["description"])).rstrip(".")] if schema.get("description") else []
        parts += [text.format(_number(bound)) for text, bound in _bounds(schema)]
        if schema.get("default") not in (None, [], {}):
            parts.append(f"default `{schema['default']}`")
        return "; ".join(parts)

    def fields(self, schema: Schema) -> str:
        """An object's fields as a table."""
        required = schema.get("required", [])
        rows = [
            [f"`{name}`", self.type_of(field), "yes" if name in required else "", self.notes(field)]
            for name, field in schema.get("properties", {}).items()
        ]
        return table(["field", "type", "required", ""], rows) if rows else "No fields."

    def text(self, name: str, schema: Schema) -> str:
        """What the object is: its description, else the docstring of the wire type that it was made from."""
        return from_docstring(str(schema.get("description") or _DOCSTRINGS.get(name, "")))

    def _has_section(self, name: str) -> bool:
        return "properties" in self._named[name] and not name.startswith("Page_")

    def _reference(self, name: str) -> str:
        schema = self._named[name]
        if name.startswith("Page_"):
            return f"page of {self.type_of(schema['properties']['items']['items'])}"
        if not self._has_section(name):
            return self.type_of(schema)
        title = _title(name, schema)
        return f"[{title}](#{title.lower()})"

    def _any_of(self, schemas: list[Schema]) -> str:
        types = [self.type_of(one) for one in schemas if one != _NULL]
        return " or ".join(dict.fromkeys([*types, "null"] if _NULL in schemas else types))

    def _plain(self, schema: Schema) -> str:
        kind = schema.get("type", "any JSON")
        if isinstance(kind, list):
            return " or ".join(kind)
        if kind == "array":
            items = schema.get("items", {})
            return f"list of {self.type_of(items)}" if items else "list"
        return str(kind)


def _docstrings() -> dict[str, str]:
    """The docstring of each wire type, by its name."""
    modules = [import_module(f"aitbc.schemas.{each.name}") for each in iter_modules(schemas.__path__)]
    types = [each for module in modules for each in vars(module).values() if inspect.isclass(each)]
    # A type without a docstring of its own has one that was made from its signature, or its base's.
    return {
        each.__name__: inspect.cleandoc(each.__dict__["__doc__"])
        for each in types
        if issubclass(each, msgspec.Struct) and each.__dict__.get("__doc__")
    }


_DOCSTRINGS = _docstrings()


def _title(name: str, schema: Schema) -> str:
    return str(schema.get("title") or name).rpartition(".")[2]


def _values(values: list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _bounds(schema: Schema) -> list[tuple[str, Any]]:
    """The bounds of a schema, also where it stands beside null in a choice."""
    choices = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    found = [(name, choice[name]) for choice in choices for name in _BOUNDS if name in choice]
    return [("not empty" if bound == 1 and name in _SIZES else _BOUNDS[name], bound) for name, bound in found]


def _number(bound: Any) -> str:
    return f"{bound:,g}" if isinstance(bound, float) and bound.is_integer() else str(bound)
