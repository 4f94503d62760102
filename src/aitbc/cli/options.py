"""Types and groups of options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from aitbc.schemas.scopes import Scope

F = TypeVar("F", bound=Callable[..., Any])


class IntRange(click.IntRange):
    """click's own, which calls what it wants an "integer range"."""

    name = "integer"


def parse_json_object(text: str) -> dict[str, Any]:
    """The JSON object in ``text``. Raises ValueError, in words for people, for anything else."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is JSON, but not an object: write {...}")  # noqa: TRY004 - bad input, not a bug
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class JsonObjectType(click.ParamType):  # type: ignore[type-arg] # no generic in click 8.1
    """A JSON object, typed as an argument."""

    name = "json"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Parse, or fail as a usage error."""
        if isinstance(value, dict):
            return value
        try:
            return parse_json_object(str(value))
        except ValueError as error:
            self.fail(f"this is no JSON object: {error}", param, ctx)


JSON_OBJECT = JsonObjectType()


def combined(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several option decorators as one, shown in this order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def key_properties(function: F) -> F:
    """What may be said of a key when it is made and when it is changed."""
    return combined(
        click.option(
            "--scope",
            "scopes",
            multiple=True,
            type=click.Choice([scope.value for scope in Scope]),
            metavar="SCOPE",
            help="A single scope, such as jobs:read; may be repeated.",
        ),
        click.option(
            "--allowed-ip",
            "allowed_ips",
            multiple=True,
            metavar="CIDR",
            help="An address or network that the key works from, and only from; may be repeated.",
        ),
        click.option(
            "--limit-per-minute",
            type=IntRange(min=1),
            metavar="N",
            help="A limit of the key's own, below that of the tenant's plan.",
        ),
    )(function)
