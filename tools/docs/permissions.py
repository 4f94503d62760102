"""What each preset may do, and what each operation needs, from the code's own tables."""

from __future__ import annotations

from tools.docs import openapi
from tools.docs.pages import table

from aitbc.schemas.scopes import PRESET_SCOPES, Scope
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.roles import ROLE_SCOPES, Role


def reference() -> str:
    """The tables: of keys, and of people."""
    sections = {"Presets": _presets(), "Operations": _operations(), "Roles": _roles(), "Pages": _pages()}
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())


def needs(operation: Operation) -> str:
    """What a key needs for an operation of the API, in words."""
    if operation.audience is Audience.EVERYONE:
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


def _roles() -> str:
    rows = [[f"`{scope}`", *("yes" if scope in ROLE_SCOPES[role] else "" for role in Role)] for scope in Scope]
    return table(["scope", *(f"`{role}`" for role in Role)], rows)


def _pages() -> str:
    _, routes = openapi.load()
    pages = [route for route in routes if route.operation.page and route.method not in {"HEAD", "OPTIONS"}]
    rows = [
        [f"{route.method} {route.path}", who(route.operation), "yes" if route.operation.recent else ""]
        for route in sorted(pages, key=lambda route: (route.path, route.method))
    ]
    return table(["page", "who", "asks for the password again"], rows)


def who(operation: Operation) -> str:
    """Who may see a page or send its form, in words."""
    if operation.audience is Audience.EVERYONE:
        return "everyone"
    if operation.operator:
        return "operators"
    if operation.scope is None:
        return "whoever is signed in"
    return ", ".join(role for role in Role if operation.scope in ROLE_SCOPES[role])


def _operations() -> str:
    _, routes = openapi.load()
    shown = [route for route in routes if route.method not in {"HEAD", "OPTIONS"} and not route.operation.page]
    rows = [
        [f"`{route.operation.id}`", f"{route.method} {route.path}", needs(route.operation)]
        for route in sorted(shown, key=lambda route: (route.operation.api, route.path, route.method))
    ]
    return table(["operation", "method and path", "key"], rows)
