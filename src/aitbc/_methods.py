"""Makes one declaration of a resource's method serve both clients, fully typed.

A method is written once, as a pure function to a ``Call`` (or a ``Flow`` of several)::

    class Jobs(Resource[M]):
        @operation
        def get(self, job_id: str) -> Call[Job]: ...

On ``Jobs[Sync]`` it returns a Job; on ``Jobs[Async]`` it is awaited for one. At run time the method stays a
plain function with its name, signature and docstring: the client's shell alone decides which way it runs.
For type checkers it is a descriptor whose type follows the client's ``Mode``.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from aitbc._call import Call, Flow
from aitbc._transport import Shell
from aitbc.schemas.common import Page

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Sync:
    """Mode of a client whose methods block and return."""


class Async:
    """Mode of a client whose methods are awaited."""


M = TypeVar("M", Sync, Async)


class Resource(Generic[M]):
    """One group of calls of a client, such as ``client.jobs``."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell


class Operation(Protocol[P, T_co]):
    """The type of a method that ends in one object."""

    @overload
    def __get__(self, resource: None, owner: object = None) -> Callable[Concatenate[Resource[Any], P], Any]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object = None) -> Callable[P, T_co]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: object = None) -> Callable[P, Coroutine[Any, Any, T_co]]: ...


class Listing(Protocol[P, T_co]):
    """The type of a method that ends in many objects, page by page."""

    @overload
    def __get__(self, resource: None, owner: object = None) -> Callable[Concatenate[Resource[Any], P], Any]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object = None) -> Callable[P, Iterator[T_co]]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: object = None) -> Callable[P, AsyncIterator[T_co]]: ...


def operation(declared: Callable[Concatenate[Any, P], Call[T] | Flow[T]]) -> Operation[P, T]:
    """A method of both clients from the function that says what it calls."""

    @functools.wraps(declared)
    def method(resource: Resource[Any], *args: P.args, **kwargs: P.kwargs) -> object:
        shell, wanted = resource._shell, declared(resource, *args, **kwargs)  # noqa: SLF001 - same module
        return shell.run(shell.exchange.perform(wanted) if isinstance(wanted, Call) else wanted)

    return cast("Operation[P, T]", method)


def listing(declared: Callable[Concatenate[Any, P], Call[Page[T]]]) -> Listing[P, T]:
    """A method of both clients that iterates over what ``declared`` calls, page by page."""

    @functools.wraps(declared)
    def method(resource: Resource[Any], *args: P.args, **kwargs: P.kwargs) -> object:
        return resource._shell.pages(declared(resource, *args, **kwargs))  # noqa: SLF001 - same module

    return cast("Listing[P, T]", method)
