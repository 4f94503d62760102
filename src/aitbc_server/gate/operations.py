"""Which operation a request is for: the bounded set that permissions, usage counts and metrics speak of."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import msgspec

from aitbc.schemas.scopes import Scope


class Audience(Enum):
    """Who an operation is for.

    ``KEY``: whoever holds an API key; what declares nothing is for them. ``PERSON``: whoever is signed in to the
    dashboard. ``EVERYONE``: strangers too.
    """

    KEY = "key"
    PERSON = "person"
    EVERYONE = "everyone"


class Operation(msgspec.Struct, frozen=True):
    """One route: of the API, or a page of the dashboard.

    ``scope`` is what a key needs, or a person's role (None: any will do). ``own_key``: a key may do this to itself
    without the scope, the path's ``{key_id}`` telling. ``never_own``: a key may not do this to itself, whatever its
    scopes. ``cost`` is what it takes from the caller's limits.

    ``api``: it belongs to the API though it is for everyone: described in the OpenAPI, and without the checks that
    browsers' forms need. ``operator``: for the installation's operators alone. ``recent``: the person must have given
    the password within the last minutes.
    """

    id: str
    scope: Scope | None = None
    own_key: bool = False
    never_own: bool = False
    audience: Audience = Audience.KEY
    api: bool = False
    operator: bool = False
    recent: bool = False
    cost: int = 1

    @property
    def page(self) -> bool:
        """Whether it is the dashboard's: asked for by browsers, and never with an API key."""
        return self.audience is not Audience.KEY and not self.api


class Route(NamedTuple):
    """An operation and where it lives: ``path`` may have parameters, as in ``/v1/jobs/{job_id}``."""

    method: str
    path: str
    operation: Operation


class Match(NamedTuple):
    """The operation of a request, and the ``key_id`` in its path where there is one."""

    operation: Operation
    key_id: str | None


#: Where no route answers: it still needs a key, so that a stranger learns nothing of what is there.
UNMATCHED = Match(Operation("unmatched"), None)


class Operations:
    """Finds a request's operation. Literal paths first, then one step a path segment.

    A literal path is that alone, for every method: ``/v1/api-keys/self`` is never the key named "self".
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._methods = sorted({route.method for route in self.routes})
        self._literal: dict[tuple[str, str], Match] = {}
        self._patterns: dict[tuple[str, int], list[tuple[list[str], Operation]]] = {}
        for method, path, operation in self.routes:
            if "{" in path:
                segments = path.split("/")
                self._patterns.setdefault((method, len(segments)), []).append((segments, operation))
            else:
                self._literal[method, path] = Match(operation, None)
        self._literal_paths = {path for _, path in self._literal}
        self._public_paths = {route.path for route in self.routes if route.operation.audience is not Audience.KEY}

    def find(self, method: str, path: str) -> Match:
        """The operation for a decoded path; ``UNMATCHED`` where there is none."""
        literal = self._literal.get((method, path))
        if literal is not None:
            return literal
        if path in self._literal_paths:
            return UNMATCHED
        segments = path.split("/")
        for pattern, operation in self._patterns.get((method, len(segments)), ()):
            match = _match(pattern, segments)
            if match is not None:
                return Match(operation, match.get("{key_id}"))
        return UNMATCHED

    def methods(self, path: str) -> list[str]:
        """The methods that a path takes; none where there is no such path."""
        return [method for method in self._methods if self.find(method, path) is not UNMATCHED]

    def is_public(self, path: str) -> bool:
        """Whether this very path is there for everybody: then so is the word that it takes other methods."""
        return path in self._public_paths


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """The path's parameters by their placeholder; None where a literal segment differs or a parameter is empty."""
    parameters = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            parameters[expected] = segment
        elif expected != segment:
            return None
    return parameters
