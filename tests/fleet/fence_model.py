"""The fence protocol as a model: two nodes, a store that may lose data, a database, every order of their steps.

Each step is one atomic thing that one party does: one script call, one transaction, one read. ``explore`` walks through
every moment that can be reached, by any number of requests, restarts and losses, and returns a shortest way to a broken
promise. ``flaws`` switch one mechanism off each: the model is worth something only if it then finds the hole that the
mechanism closes. Nodes and the store may die at any moment, and the store comes back with everything, with nothing, or
with what it knew before; ``faults`` are what else may happen.

Of tokens and connections only equality matters. So every moment is written down with its tokens renamed in the order
in which they are met, and with connections that are gone as 0: what remains is finite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum, auto
from typing import NamedTuple


class Fault(Enum):
    """What may happen beside the deaths of nodes and of the store."""

    #: It keeps what was committed.
    DATABASE_DIES = auto()
    #: Behind an address that keeps its connections, so that nobody notices.
    REPLICA_TAKES_OVER = auto()
    #: The store gets a token back that it had, and no connection ends. Then what holds is less: a change is seen by
    #: requests that begin after it was answered and the node has read the outbox since.
    PUT_BACK_BY_HAND = auto()


class Flaw(Enum):
    """One mechanism, switched off."""

    TOKENS_OUTLIVE_CONNECTIONS = auto()
    RECORD_IS_READ_BEFORE_TOKEN = auto()
    MISSING_TOKEN_COUNTS_AS_CURRENT = auto()
    RAISED_BEFORE_COMMIT = auto()
    OUTBOX_FORGOTTEN_BEFORE_RAISE = auto()
    LATE_LOAD_JOINS_NEW_CONNECTION = auto()
    QUESTION_JOINS_NEW_CONNECTION = auto()
    AWAY_TRUSTS_THE_CACHE = auto()
    ANSWERED_BEFORE_RAISE = auto()
    ANSWERED_THOUGH_NOT_COMMITTED = auto()
    DATABASE_AWAY_TRUSTS_THE_CACHE = auto()
    ANSWERED_BEFORE_REPLICATED = auto()
    OUTBOX_FORGOTTEN_BEFORE_REPLICATED = auto()
    FEED_DROPS_NOTHING = auto()
    LATE_LOAD_SURVIVES_A_DROP = auto()

    @property
    def shows_with(self) -> frozenset[Fault]:
        """What must happen for it to break a promise."""
        return _SHOWS_WITH.get(self, frozenset())


_SHOWS_WITH = {
    Flaw.ANSWERED_THOUGH_NOT_COMMITTED: frozenset({Fault.DATABASE_DIES}),
    Flaw.DATABASE_AWAY_TRUSTS_THE_CACHE: frozenset({Fault.DATABASE_DIES}),
    Flaw.ANSWERED_BEFORE_REPLICATED: frozenset({Fault.REPLICA_TAKES_OVER}),
    Flaw.OUTBOX_FORGOTTEN_BEFORE_REPLICATED: frozenset({Fault.REPLICA_TAKES_OVER}),
    Flaw.FEED_DROPS_NOTHING: frozenset({Fault.PUT_BACK_BY_HAND}),
    Flaw.LATE_LOAD_SURVIVES_A_DROP: frozenset({Fault.PUT_BACK_BY_HAND}),
}


class Cached(NamedTuple):
    """A record's version, the token that it is believed under, and the connection that the token came by."""

    version: int
    token: int
    epoch: int


class Request(NamedTuple):
    """A request under way: ``required`` is the newest change that had been answered when it began. ``asked`` is what
    its question rests on, which is made before it is sent."""

    required: int
    token: int | None = None
    epoch: int = 0
    version: int | None = None
    asked: Cached | None = None


class Node(NamedTuple):
    """A server process. ``epoch`` is 1 where its connection leads to the store as it is now, else 0; ``fed`` is the
    newest change that it has read of in the outbox."""

    epoch: int = 0
    cached: Cached | None = None
    request: Request | None = None
    fed: int = 0

    def tokens(self) -> list[int]:
        """The tokens that it holds."""
        held = [self.cached.token] if self.cached else []
        if self.request is not None:
            held += [self.request.token] if self.request.token else []
            held += [self.request.asked.token] if self.request.asked else []
        return held


class Change(NamedTuple):
    """A change under way: which version it commits, and how far it is."""

    version: int = 0
    step: str = "idle"


class World(NamedTuple):
    """Everything that there is at one moment. ``draining`` is the outbox's row whose token has been raised, and
    ``is_copied`` whether the replica has got that one; ``replica`` is the token that it has."""

    nodes: tuple[Node, ...]
    version: int = 0
    outbox: frozenset[int] = frozenset()
    in_effect: int = 0
    token: int | None = None
    up: bool = True
    change: Change = Change()
    draining: int = 0
    broken: str = ""
    has_database: bool = True
    replica: int | None = None
    is_copied: bool = False

    def held(self) -> list[int]:
        """The tokens that somebody has beside the store."""
        held = [token for node in self.nodes for token in node.tokens()]
        return [*held, self.replica] if self.replica else held


class Found(NamedTuple):
    """How many moments there are; and, where a promise breaks, the steps that lead there."""

    moments: int
    way: tuple[str, ...] = ()


def explore(
    *flaws: Flaw, nodes: int = 2, changes: int = 1, faults: Collection[Fault] = (), depth: int | None = None
) -> Found:
    """Every moment that can be reached, in so many steps if ``depth`` says so; breadth first, so that a way to a broken
    promise is a shortest one."""
    model = Model(changes, frozenset(flaws), frozenset(faults))
    start = World(nodes=(Node(),) * nodes)
    came_from: dict[World, tuple[World | None, str]] = {start: (None, "")}
    level = [start]
    while level and depth != 0:
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
        depth = None if depth is None else depth - 1
    return Found(len(came_from))


def canonical(world: World) -> World:
    """The same moment with its tokens renamed 1, 2, ... in the order in which they are met."""
    met = [world.token, *world.held()] if world.token else world.held()
    names = {token: name for name, token in enumerate(dict.fromkeys(met), 1)}
    if all(token == name for token, name in names.items()):
        return world
    return world._replace(
        token=world.token and names[world.token],
        replica=world.replica and names[world.replica],
        nodes=tuple(_renamed(node, names) for node in world.nodes),
    )


def _renamed(node: Node, names: dict[int, int]) -> Node:
    cached, request = node.cached, node.request
    if cached is not None:
        cached = cached._replace(token=names[cached.token])
    if request is not None:
        asked = request.asked and request.asked._replace(token=names[request.asked.token])
        request = request._replace(token=request.token and names[request.token], asked=asked)
    return node._replace(cached=cached, request=request)


def _way(came_from: dict[World, tuple[World | None, str]], world: World | None) -> tuple[str, ...]:
    steps = []
    while world is not None:
        earlier, step = came_from[world]
        steps.append(step)
        world = earlier
    return tuple(reversed(steps[:-1]))


class Model:
    """What each party may do next."""

    def __init__(self, changes: int, flaws: frozenset[Flaw], faults: frozenset[Fault]) -> None:
        self._changes = changes
        self._flaws = flaws
        self._faults = faults
        self._is_replicated = Fault.REPLICA_TAKES_OVER in faults

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step that is possible now, and the world after it."""
        yield from self._store(world)
        yield from self._replica(world)
        yield from self._database(world)
        yield from self._changing(world)
        yield from self._draining(world)
        for index, node in enumerate(world.nodes):
            for step, after, changed in self._serving(world, node):
                nodes = (*world.nodes[:index], changed, *world.nodes[index + 1 :])
                yield f"node {index}: {step}", after._replace(nodes=nodes)

    def _store(self, world: World) -> Iterator[tuple[str, World]]:
        held = set(world.held())
        if not world.up:
            # It kept everything, nothing, or what it knew some time ago: a token that somebody still holds is one of
            # those.
            for token in {world.token, None, *held}:
                yield f"the store starts with token {token}", world._replace(up=True, token=token)
            return
        nodes = tuple(_cut_off(node) for node in world.nodes)
        yield "the store dies", self._unconfirmed(world._replace(up=False, nodes=nodes))
        yield "the store is emptied", world._replace(token=None)
        if Fault.PUT_BACK_BY_HAND in self._faults:
            for token in held - {world.token}:
                yield f"the store is put back to token {token}", world._replace(token=token)

    def _replica(self, world: World) -> Iterator[tuple[str, World]]:
        if not self._is_replicated or not world.up:
            return
        if world.replica != world.token or world.change.step == "raised" or (world.draining and not world.is_copied):
            change = world.change
            if change.step == "raised":
                change = change._replace(step="copied")
            yield (
                f"the replica gets token {world.token}",
                world._replace(replica=world.token, change=change, is_copied=world.draining > 0),
            )
        if world.replica != world.token:
            yield (
                f"the replica takes over with token {world.replica}",
                self._unconfirmed(world._replace(token=world.replica)),
            )

    def _unconfirmed(self, world: World) -> World:
        """Whoever waits for the replica waits in vain: the change is answered 202, the outbox keeps its row."""
        if not self._is_replicated:
            return world
        change = Change() if world.change.step == "raised" else world.change
        return world._replace(change=change, draining=world.draining if world.is_copied else 0)

    def _database(self, world: World) -> Iterator[tuple[str, World]]:
        if Fault.DATABASE_DIES in self._faults:
            does = "dies" if world.has_database else "starts"
            yield f"the database {does}", world._replace(has_database=not world.has_database)

    def _changing(self, world: World) -> Iterator[tuple[str, World]]:
        change = world.change
        if change.step == "idle":
            if world.version < self._changes:
                begun = world._replace(change=Change(world.version + 1, "begun"))
                if Flaw.RAISED_BEFORE_COMMIT in self._flaws and world.up:
                    begun = _raised(begun)
                yield "a change begins", begun
            return
        yield "the changing node dies", world._replace(change=Change())
        if change.step == "begun":
            yield from self._committing(world)
        elif change.step == "committed" and world.up:
            raised = world if Flaw.RAISED_BEFORE_COMMIT in self._flaws else _raised(world)
            yield "its token is raised", raised._replace(change=change._replace(step="raised"))
        elif change.step == "copied" or (change.step == "raised" and self._answers_at_once()):
            yield "it is answered", _effective(world._replace(change=Change()), change.version)

    def _answers_at_once(self) -> bool:
        return not self._is_replicated or Flaw.ANSWERED_BEFORE_REPLICATED in self._flaws

    def _committing(self, world: World) -> Iterator[tuple[str, World]]:
        change = world.change
        after = world._replace(change=change._replace(step="committed"))
        if world.has_database:
            after = after._replace(version=change.version, outbox=world.outbox | {change.version})
            if Flaw.ANSWERED_BEFORE_RAISE in self._flaws:
                after = after._replace(in_effect=change.version)
            yield "the change commits", after
        elif Flaw.ANSWERED_THOUGH_NOT_COMMITTED in self._flaws:
            yield "the change goes on without the database", after

    def _draining(self, world: World) -> Iterator[tuple[str, World]]:
        if not world.draining:
            if world.outbox and world.up and world.has_database:
                raised = world if Flaw.OUTBOX_FORGOTTEN_BEFORE_RAISE in self._flaws else _raised(world)
                yield "the outbox raises a token", raised._replace(draining=min(world.outbox), is_copied=False)
            return
        yield "the draining node dies", world._replace(draining=0, is_copied=False)
        at_once = not self._is_replicated or Flaw.OUTBOX_FORGOTTEN_BEFORE_REPLICATED in self._flaws
        if world.has_database and (world.is_copied or at_once):
            yield "the outbox forgets a row", _effective(world._replace(draining=0, is_copied=False), world.draining)

    def _serving(self, world: World, node: Node) -> Iterator[tuple[str, World, Node]]:
        request = node.request
        if world.up and not node.epoch:
            yield "it connects", world, self._connect(node)
        if Fault.PUT_BACK_BY_HAND in self._faults and world.has_database and node.fed < world.version:
            yield f"it reads in the outbox of change {world.version}", world, self._feed(world, node)
        if request is None:
            required = self._required(world, node)
            yield f"a request begins, change {required} is in effect", world, node._replace(request=Request(required))
            return
        if request.version is not None and request.token is not None:
            yield "the record is kept", world, self._keep(node, request)
        elif request.token is not None or self._reads_first(node, request):
            yield self._read(world, node, request)
        elif request.asked is None and node.cached is not None and node.cached.epoch == node.epoch:
            asked = request._replace(asked=node.cached)
            yield f"its question is made, by record {node.cached.version}", world, node._replace(request=asked)
        elif not world.up:
            yield from self._serve_away(world, node, request)
        elif node.epoch:
            yield from self._ask(world, node, request)

    def _required(self, world: World, node: Node) -> int:
        return min(world.in_effect, node.fed) if Fault.PUT_BACK_BY_HAND in self._faults else world.in_effect

    def _reads_first(self, node: Node, request: Request) -> bool:
        return Flaw.RECORD_IS_READ_BEFORE_TOKEN in self._flaws and node.cached is None and request.version is None

    def _read(self, world: World, node: Node, request: Request) -> tuple[str, World, Node]:
        if world.has_database:
            read = request._replace(version=world.version)
            return f"record {world.version} is read", world, node._replace(request=read)
        if Flaw.DATABASE_AWAY_TRUSTS_THE_CACHE in self._flaws and node.cached is not None:
            version = node.cached.version
            return f"it answers by record {version}, the database is away", *_answered(world, node, request, version)
        return "it answers 503, the database is away", world, node._replace(request=None)

    def _connect(self, node: Node) -> Node:
        cached = node.cached
        if cached is not None and Flaw.TOKENS_OUTLIVE_CONNECTIONS in self._flaws:
            cached = cached._replace(epoch=1)
        return node._replace(epoch=1, cached=cached)

    def _feed(self, world: World, node: Node) -> Node:
        cached, request = node.cached, node.request
        if Flaw.FEED_DROPS_NOTHING not in self._flaws:
            cached = None
            if request is not None and Flaw.LATE_LOAD_SURVIVES_A_DROP not in self._flaws:
                # What it has read may be from before the change.
                request = request._replace(version=None)
        return node._replace(cached=cached, request=request, fed=world.version)

    def _serve_away(self, world: World, node: Node, request: Request) -> Iterator[tuple[str, World, Node]]:
        version = world.version
        if Flaw.AWAY_TRUSTS_THE_CACHE in self._flaws and node.cached is not None:
            version = node.cached.version
        elif not world.has_database:
            yield "it answers 503, store and database are away", world, node._replace(request=None)
            return
        yield f"it answers by record {version}, the store is away", *_answered(world, node, request, version)

    def _ask(self, world: World, node: Node, request: Request) -> Iterator[tuple[str, World, Node]]:
        asked = request.asked
        is_old = asked is not None and asked.epoch != node.epoch
        if is_old and Flaw.QUESTION_JOINS_NEW_CONNECTION not in self._flaws:
            yield "its question is of another connection", world, node._replace(request=request._replace(asked=None))
            return
        if world.token is None and not (asked and Flaw.MISSING_TOKEN_COUNTS_AS_CURRENT in self._flaws):
            world = _raised(world)
        if asked is not None and world.token in {asked.token, None}:
            yield f"it answers by cached record {asked.version}", *_answered(world, node, request, asked.version)
            return
        told = request._replace(token=world.token, epoch=node.epoch, asked=None)
        yield f"it is told token {world.token}", world, node._replace(request=told)

    def _keep(self, node: Node, request: Request) -> Node:
        assert request.token is not None
        assert request.version is not None
        epoch = node.epoch if Flaw.LATE_LOAD_JOINS_NEW_CONNECTION in self._flaws else request.epoch
        return node._replace(cached=Cached(request.version, request.token, epoch), request=Request(request.required))


def _raised(world: World) -> World:
    return world._replace(token=max([world.token or 0, *world.held()]) + 1)


def _cut_off(node: Node) -> Node:
    cached, request = node.cached, node.request
    if request is not None:
        request = request._replace(epoch=0, asked=request.asked and request.asked._replace(epoch=0))
    return node._replace(epoch=0, cached=cached and cached._replace(epoch=0), request=request)


def _effective(world: World, version: int) -> World:
    return world._replace(outbox=world.outbox - {version}, in_effect=max(world.in_effect, version))


def _answered(world: World, node: Node, request: Request, version: int) -> tuple[World, Node]:
    if version < request.required:
        broken = f"answered by record {version} although change {request.required} was in effect before"
        world = world._replace(broken=broken)
    return world, node._replace(request=None)
