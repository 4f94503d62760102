"""JSON Schema of the wire types, by the library that reads and writes them: it cannot say anything else."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

Schema = dict[str, Any]

_PLACE = "#/components/schemas/{name}"


class Schemas:
    """The named schemas of a description, gathered while it is written."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, *kinds: Any) -> Schema:
        """The schema of what is one of these types. Raises ValueError where two different types have one name."""
        schemas, named = msgspec.json.schema_components(kinds, ref_template=_PLACE)
        for name, schema in named.items():
            readable = _readable(schema)
            if self.named.setdefault(name, readable) != readable:
                raise ValueError(f"two types of the API are named {name}")
        return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _readable(schema: Schema) -> Schema:
    # A docstring is indented as its code is.
    description = schema.get("description")
    return schema if description is None else {**schema, "description": inspect.cleandoc(description)}
