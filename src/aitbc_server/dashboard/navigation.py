"""Where one can go from every page: what the server has, and what the person may see."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from aitbc.schemas.scopes import Scope
from aitbc_server.users.roles import ROLE_SCOPES
from aitbc_server.users.sessions import SignedIn


class Item(NamedTuple):
    """An entry of the navigation. ``scope`` is what one needs to see the page; None: everybody may."""

    title: str
    path: str
    icon: str
    scope: Scope | None = None
    operator: bool = False


_ITEMS = (
    Item("Overview", "/overview", "overview", Scope.USAGE_READ),
    Item("API Keys", "/api-keys", "key", Scope.API_KEYS_READ),
    Item("Jobs", "/jobs", "job", Scope.JOBS_READ),
    Item("Miners", "/miners", "miner", Scope.MINERS_READ),
    Item("Plan", "/plan", "plan", Scope.USAGE_READ),
    Item("Members", "/members", "members", Scope.MEMBERS_READ),
    Item("Audit log", "/audit-log", "audit", Scope.AUDIT_READ),
    Item("Settings", "/settings", "settings"),
    Item("Admin", "/admin", "admin", operator=True),
)


class Navigation:
    """The entries whose pages there are."""

    def __init__(self, paths: Collection[str]) -> None:
        self.paths = frozenset(paths)
        self._items = tuple(item for item in _ITEMS if item.path in self.paths)

    def items(self, signed_in: SignedIn) -> list[Item]:
        """What this person may go to."""
        scopes = scopes_of(signed_in)
        return [
            item
            for item in self._items
            if (signed_in.is_operator or not item.operator) and (item.scope is None or item.scope in scopes)
        ]

    def home(self, signed_in: SignedIn) -> str:
        """Where a sign-in leads to."""
        items = self.items(signed_in)
        return items[0].path if items else "/sign-in"


def scopes_of(signed_in: SignedIn) -> frozenset[Scope]:
    """What a person may do in the tenant that their session looks at."""
    return frozenset() if signed_in.role is None else ROLE_SCOPES[signed_in.role]


def current(items: Iterable[Item], path: str) -> str | None:
    """The entry that a page belongs to: ``/api-keys/key_1`` is one of API Keys'."""
    return next((item.path for item in items if path == item.path or path.startswith(f"{item.path}/")), None)
