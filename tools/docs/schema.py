"""JSON Schema, as far as the OpenAPI document uses it, in words."""

from __future__ import annotations

from typing import Any

from tools.docs.pages import from_docstring, table

Schema = dict[str, Any]

_NULL = {"type": "null"}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or fewer",
    "minItems": "{} items or more",
    "maxItems": "{} items or fewer",
    "pattern": "`{}`",
}


class Schemas:
    """The document's named schemas."""

    def __init__(self, named: dict[str, Schema]) -> None:
        self._named = named

    def objects(self) -> list[tuple[str, Schema]]:
        """The named objects by the name that the page gives them; enumerations and pages are told where they are used."""
        shown = [(name, schema) for name, schema in self._named.items() if self._has_section(name)]
        return sorted((_title(name, schema), schema) for name, schema in shown)

    def type_of(self, schema: Schema) -> str:
        """The type in a few words, with links to objects."""
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
        return table(["field", "type", "always there", ""], rows) if rows else "No fields."

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
        return "time" if schema.get("format") == "date-time" else str(kind)


def _title(name: str, schema: Schema) -> str:
    return str(schema.get("title") or name).rpartition(".")[2]


def _values(values: list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _bounds(schema: Schema) -> list[tuple[str, Any]]:
    """The bounds of a schema, also where it stands beside null in a choice."""
    choices = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    return [(_BOUNDS[name], choice[name]) for choice in choices for name in _BOUNDS if name in choice]


def _number(bound: Any) -> str:
    return f"{bound:,g}" if isinstance(bound, float) and bound.is_integer() else str(bound)
