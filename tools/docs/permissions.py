"""What each preset may do, and what each operation needs, from the code's own tables."""

from __future__ import annotations

from tools.docs import openapi
from tools.docs.pages import table

from aitbc.schemas.scopes import PRESET_SCOPES, Scope
from aitbc_server.gate.operations import Operation


def reference() -> str:
    """The two tables."""
    return f"## Presets\n\n{_presets()}\n\n## Operations\n\n{_operations()}"


def needs(operation: Operation) -> str:
    """What a key needs for an operation, in words."""
    if operation.public:
        return "none needed"
    scope = "any key" if operation.scope is None else f"scope `{operation.scope}`"
    if operation.own_key:
        return "any key for itself" if operation.scope is None else f"any key for itself, else {scope}"
    return f"{scope}, and never on itself" if operation.never_own else scope


def _presets() -> str:
    rows = [
        [f"`{scope}`", *("yes" if scope in PRESET_SCOPES[preset] else "" for preset in PRESET_SCOPES)]
        for scope in Scope
    ]
    return table(["scope", *(f"`{preset}`" for preset in PRESET_SCOPES)], rows)


def _operations() -> str:
    _, routes = openapi.load()
    shown = [route for route in routes if route.method not in {"HEAD", "OPTIONS"}]
    rows = [
        [f"`{route.operation.id}`", f"{route.method} {route.path}", needs(route.operation)]
        for route in sorted(shown, key=lambda route: (route.operation.public, route.path, route.method))
    ]
    return table(["operation", "method and path", "key"], rows)
