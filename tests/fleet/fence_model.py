"""The fence protocol as a model: two nodes, a store that may lose data, a database, every order of their steps.

Each step is one atomic thing that one party does: one script call, one transaction, one read. ``explore`` walks through
every moment that can be reached, by any number of requests, restarts and losses, and returns a shortest way to a broken
promise. ``flaws`` switch one mechanism off each: the model is worth something only if it then finds the hole that the
mechanism closes.

Of tokens and connections only equality matters. So every moment is written down with its tokens renamed in the order
in which they are met, and with connections that are gone as 0: what remains is finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto


class Flaw(Enum):
    """One mechanism, switched off."""

    TOKENS_OUTLIVE_CONNECTIONS = auto()
    RECORD_IS_READ_BEFORE_TOKEN = auto()
    MISSING_TOKEN_COUNTS_AS_CURRENT = auto()
    RAISED_BEFORE_COMMIT = auto()
    OUTBOX_FORGOTTEN_BEFORE_RAISE = auto()
    LATE_LOAD_JOINS_NEW_CONNECTION = auto()
    AWAY_TRUSTS_THE_CACHE = auto()
    ANSWERED_BEFORE_RAISE = auto()


@dataclass(frozen=True)
class Cached:
    """A record's version, the token that it is believed under, and the connection that the token came by."""

    version: int
    token: int
    epoch: int


@dataclass(frozen=True)
class Request:
    """A request under way: ``required`` is the newest change that had been answered when it began."""

    required: int
    token: int | None = None
    epoch: int = 0
    version: int | None = None


@dataclass(frozen=True)
class Node:
    """A server process. ``epoch`` is 1 where its connection leads to the store as it is now, else 0."""

    epoch: int = 0
    cached: Cached | None = None
    request: Request | None = None

    def tokens(self) -> list[int]:
        """The tokens that it holds."""
        held = [self.cached.token] if self.cached else []
        return [*held, self.request.token] if self.request and self.request.token else held


@dataclass(frozen=True)
class Change:
    """A change under way: which version it commits, and how far it is."""

    version: int = 0
    step: str = "idle"


@dataclass(frozen=True)
class World:
    """Everything that there is at one moment."""

    nodes: tuple[Node, ...]
    version: int = 0
    outbox: frozenset[int] = frozenset()
    in_effect: int = 0
    token: int | None = None
    up: bool = True
    change: Change = Change()
    draining: int = 0
    broken: str = ""


@dataclass(frozen=True)
class Found:
    """How many moments there are; and, where a promise breaks, the steps that lead there."""

    moments: int
    way: tuple[str, ...] = ()


def explore(*flaws: Flaw, nodes: int = 2, changes: int = 1) -> Found:
    """Every moment that can be reached, breadth first, so that a way to a broken promise is a shortest one."""
    model = Model(changes, frozenset(flaws))
    start = World(nodes=(Node(),) * nodes)
    came_from: dict[World, tuple[World | None, str]] = {start: (None, "")}
    level = [start]
    while level:
        following = []
        for world in level:
            for step, reached in model.steps(world):
                after = canonical(reached)
                if after in came_from:
                    continue
                came_from[after] = (world, step)
                if after.broken:
                    return Found(len(came_from), _way(came_from, after))
                following.append(after)
        level = following
    return Found(len(came_from))


def canonical(world: World) -> World:
    """The same moment with its tokens renamed 1, 2, ... in the order in which they are met."""
    met = [token for token in (world.token, *(each for node in world.nodes for each in node.tokens())) if token]
    names = {token: name for name, token in enumerate(dict.fromkeys(met), 1)}
    return replace(
        world,
        token=world.token and names[world.token],
        nodes=tuple(_renamed(node, names) for node in world.nodes),
    )


def _renamed(node: Node, names: dict[int, int]) -> Node:
    cached, request = node.cached, node.request
    if cached is not None:
        cached = replace(cached, token=names[cached.token])
    if request is not None and request.token is not None:
        request = replace(request, token=names[request.token])
    return replace(node, cached=cached, request=request)


def _way(came_from: dict[World, tuple[World | None, str]], world: World | None) -> tuple[str, ...]:
    steps = []
    while world is not None:
        earlier, step = came_from[world]
        steps.append(step)
        world = earlier
    return tuple(reversed(steps[:-1]))


class Model:
    """What each party may do next."""

    def __init__(self, changes: int, flaws: frozenset[Flaw]) -> None:
        self._changes = changes
        self._flaws = flaws

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step that is possible now, and the world after it."""
        yield from self._store(world)
        yield from self._changing(world)
        yield from self._draining(world)
        for index, node in enumerate(world.nodes):
            for step, after, changed in self._serving(world, node):
                nodes = (*world.nodes[:index], changed, *world.nodes[index + 1 :])
                yield f"node {index}: {step}", replace(after, nodes=nodes)

    def _store(self, world: World) -> Iterator[tuple[str, World]]:
        if world.up:
            nodes = tuple(_cut_off(node) for node in world.nodes)
            yield "the store dies", replace(world, up=False, nodes=nodes)
            yield "the store is emptied", replace(world, token=None)
            return
        # It kept everything, nothing, or what it knew some time ago: a token that somebody still holds is one of those.
        held = {token for node in world.nodes for token in node.tokens()}
        for token in {world.token, None, *held}:
            yield f"the store starts with token {token}", replace(world, up=True, token=token)

    def _changing(self, world: World) -> Iterator[tuple[str, World]]:
        change = world.change
        if change.step == "idle":
            if world.version < self._changes:
                begun = replace(world, change=Change(world.version + 1, "begun"))
                if Flaw.RAISED_BEFORE_COMMIT in self._flaws and world.up:
                    begun = _raised(begun)
                yield "a change begins", begun
            return
        yield "the changing node dies", replace(world, change=Change())
        if change.step == "begun":
            committed = replace(world, version=change.version, outbox=world.outbox | {change.version})
            if Flaw.ANSWERED_BEFORE_RAISE in self._flaws:
                committed = replace(committed, in_effect=change.version)
            yield "the change commits", replace(committed, change=replace(change, step="committed"))
        elif change.step == "committed" and world.up:
            raised = world if Flaw.RAISED_BEFORE_COMMIT in self._flaws else _raised(world)
            yield "its token is raised", replace(raised, change=replace(change, step="raised"))
        elif change.step == "raised":
            yield "it is answered", _drained(replace(world, change=Change()), change.version)

    def _draining(self, world: World) -> Iterator[tuple[str, World]]:
        if not world.draining and world.outbox and world.up:
            version = min(world.outbox)
            raised = world if Flaw.OUTBOX_FORGOTTEN_BEFORE_RAISE in self._flaws else _raised(world)
            yield "the outbox raises a token", replace(raised, draining=version)
        elif world.draining:
            yield "the outbox forgets a row", _drained(replace(world, draining=0), world.draining)
            yield "the draining node dies", replace(world, draining=0)

    def _serving(self, world: World, node: Node) -> Iterator[tuple[str, World, Node]]:
        request = node.request
        if world.up and not node.epoch:
            yield "it connects", world, self._connect(node)
        if request is None:
            begun = replace(node, request=Request(world.in_effect))
            yield f"a request begins, change {world.in_effect} is in effect", world, begun
            return
        if request.version is not None and request.token is not None:
            yield "the record is kept", world, self._keep(node, request)
        elif request.token is not None or self._reads_first(node, request):
            read = replace(request, version=world.version)
            yield f"record {world.version} is read", world, replace(node, request=read)
        elif not world.up:
            yield from self._serve_away(world, node, request)
        elif node.epoch:
            yield from self._ask(world, node, request)

    def _reads_first(self, node: Node, request: Request) -> bool:
        return Flaw.RECORD_IS_READ_BEFORE_TOKEN in self._flaws and node.cached is None and request.version is None

    def _connect(self, node: Node) -> Node:
        cached = node.cached
        if cached is not None and Flaw.TOKENS_OUTLIVE_CONNECTIONS in self._flaws:
            cached = replace(cached, epoch=1)
        return replace(node, epoch=1, cached=cached)

    def _serve_away(self, world: World, node: Node, request: Request) -> Iterator[tuple[str, World, Node]]:
        version = world.version
        if Flaw.AWAY_TRUSTS_THE_CACHE in self._flaws and node.cached is not None:
            version = node.cached.version
        yield f"it answers by record {version}, the store is away", *_answered(world, node, request, version)

    def _ask(self, world: World, node: Node, request: Request) -> Iterator[tuple[str, World, Node]]:
        cached = node.cached if node.cached and node.cached.epoch == node.epoch else None
        if world.token is None and not (cached and Flaw.MISSING_TOKEN_COUNTS_AS_CURRENT in self._flaws):
            world = _raised(world)
        if cached is not None and world.token in {cached.token, None}:
            yield f"it answers by cached record {cached.version}", *_answered(world, node, request, cached.version)
            return
        told = replace(request, token=world.token, epoch=node.epoch, version=request.version)
        yield f"it is told token {world.token}", world, replace(node, request=told)

    def _keep(self, node: Node, request: Request) -> Node:
        assert request.token is not None
        assert request.version is not None
        epoch = node.epoch if Flaw.LATE_LOAD_JOINS_NEW_CONNECTION in self._flaws else request.epoch
        return replace(
            node, cached=Cached(request.version, request.token, epoch), request=Request(required=request.required)
        )


def _raised(world: World) -> World:
    held = [token for node in world.nodes for token in node.tokens()]
    return replace(world, token=max([world.token or 0, *held]) + 1)


def _cut_off(node: Node) -> Node:
    cached, request = node.cached, node.request
    return Node(0, cached and replace(cached, epoch=0), request and replace(request, epoch=0))


def _drained(world: World, version: int) -> World:
    return replace(world, outbox=world.outbox - {version}, in_effect=max(world.in_effect, version))


def _answered(world: World, node: Node, request: Request, version: int) -> tuple[World, Node]:
    if version < request.required:
        broken = f"answered by record {version} although change {request.required} was in effect before"
        world = replace(world, broken=broken)
    return world, replace(node, request=None)
