"""The store that nodes share: limits, fences and counts in Valkey, one script call for all that wait in a turn."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from typing import Any

import msgspec

from aitbc_server.gate import packing
from aitbc_server.gate.batch import Batch, Tell, Waiting, answer_to, read
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.lua import lua
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.shared_store import Counts, Question, Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken
from aitbc_server.valkey import info
from aitbc_server.valkey.connection import Argument, Connection, ConnectionLostError, RefusedError
from aitbc_server.valkey.scripts import Script, is_forgotten

logger = logging.getLogger(__name__)

# The kinds of errors of a slot that is on its way to another server.
_MOVING = {"MOVED", "ASK", "TRYAGAIN"}

#: No request waits longer for the store.
TIMEOUT_S = 0.25
# A turn of the event loop that reads what has arrived.
_LAST_LOOK_S = 0.002
_US = 1_000_000

# A call with more would hold the server up for the others.
_MAX_BATCH = 256
# So many tenants get new tokens in one call: it holds requests up for less than a millisecond.
_RAISED_AT_ONCE = 100
# So many keys are passed at once when all are looked through.
_SCAN_COUNT = 500

_decode_numbers = msgspec.msgpack.Decoder(list[int]).decode


def state_key(tenant_id: str) -> str:
    """Where a tenant's state is; the braces make everything of a tenant lie in one slot of a cluster."""
    return f"aitbc:1:{{{tenant_id}}}"


def tenant_of(key: str) -> str:
    """Whose state is there."""
    return key.partition("{")[2].removesuffix("}")


def own_window_key(tenant_id: str, kid: str) -> str:
    """Where the window of a key's own limit is."""
    return f"aitbc:1:{{{tenant_id}}}:own:{kid}"


#: Runs a script for keys of one slot, as ``Script.run`` does.
Run = Callable[[Connection, Script, list[str], tuple[Argument, ...]], Awaitable[Any]]


def run_there(
    connection: Connection, script: Script, keys: list[str], arguments: tuple[Argument, ...]
) -> Awaitable[Any]:
    """Run it where the connection leads."""
    return script.run(connection, keys, *arguments)


class ValkeyStore:
    """Takes and counts in Valkey.

    Raises StoreUnavailableError, at once or after ``timeout_s``, where it does not answer.

    ``connection`` gives the one of the moment, None while there is none. ``prelude`` is what sets the script's time:
    tests set their own. ``run`` and ``reroute`` are a cluster's, whose servers may send a call elsewhere: ``reroute``
    says whether it takes care of a batch that was refused. ``touched`` names tenants whose counts are not drained.
    ``aside`` is a connection for changes, which wait for replicas, so that requests do not wait behind them.
    """

    def __init__(
        self,
        connection: Callable[[], Connection | None],
        *,
        prelude: str = lua("server_time.lua"),
        timeout_s: float = TIMEOUT_S,
        run: Run = run_there,
        reroute: Callable[[Batch, RefusedError], bool] | None = None,
        aside: Callable[[], Connection | None] | None = None,
        touched: dict[str, None] | None = None,
    ) -> None:
        self._connection = connection
        self._run_script = run
        self._reroute = reroute
        self._aside = aside
        #: So long an answer is waited for.
        self.timeout_s = timeout_s
        self._script = Script(prelude, lua("state.lua"), lua("take.lua"))
        self._raise = Script(lua("raise.lua"))
        self._drain = Script(lua("state.lua"), lua("drain.lua"))
        self._look = Script(prelude, lua("state.lua"), lua("look.lua"))
        self._batches: dict[int, Batch] = {}
        # Store time minus this machine's monotonic time. What is taken is the largest seen on the connection: the
        # smaller ones waited longer for their answer.
        self._offset_us: float | None = None
        self._run = ""
        # The kinds of errors that the log has had since the connection was made: each may come with every request.
        self._logged: set[str] = set()
        # Set when an answer did not come in time. Until somebody finds that the store answers again, nobody waits.
        self.hung = asyncio.Event()
        self.touched: dict[str, None] = {} if touched is None else touched

    @property
    def hangs(self) -> bool:
        """Whether an answer did not come in time, and none came since."""
        return self.hung.is_set()

    async def greet(self, connection: Connection) -> None:
        """Get to know a new connection's server: its run, its time, the script."""
        server = await info.read(connection, "server")
        # Enough to tell one run from another.
        self._run = server.get("run_id", "")[: packing.RUN_BYTES]
        self._offset_us = None
        self._logged.clear()
        self.hung.clear()
        seconds, microseconds = await connection.call("TIME")
        self._learn_time(int(seconds) * _US + int(microseconds))
        for script in (self._script, self._raise, self._drain, self._look):
            await script.load(connection)

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        keys = []
        for limit in limit_set.limits:
            owner = limit.tenant_id or tenant_id
            keys += [state_key(owner), own_window_key(owner, limit.window) if limit.window else state_key(owner)]
        answer = iter(_decode_numbers(await self._now(self._look, keys)))
        return tuple(
            Verdict(True, max(limit.limit - used, 0), reset_us, 0)
            for limit, used, reset_us in zip(limit_set.limits, answer, answer, strict=True)
        )

    async def raise_fences(self, tenant_ids: Iterable[str]) -> bool:
        """Give tenants new tokens, so that no node believes what it knows of them. Raises StoreUnavailableError.

        False where a replica has not got them: should it take over, it would bring the old ones back.
        """
        connection = await self.give_tokens(tenant_ids)
        return await self.is_on_replicas(connection)

    async def give_tokens(self, tenant_ids: Iterable[str]) -> Connection:
        """New tokens for tenants, of one slot on a cluster. Returns where; raises StoreUnavailableError."""
        connection = self._for_changes()
        ids = list(tenant_ids)
        with self._changing(connection):
            for at in range(0, len(ids), _RAISED_AT_ONCE):
                keys = [state_key(each) for each in ids[at : at + _RAISED_AT_ONCE]]
                await self._now(self._raise, keys, *(secrets.token_urlsafe(12) for _ in keys), on=connection)
        return connection

    async def is_on_replicas(self, connection: Connection) -> bool:
        """Whether each replica has what was changed on this connection so far. Raises StoreUnavailableError."""
        with self._changing(connection):
            # Longer than the replicas get: what they answer too late is a no, and not a fault.
            async with asyncio.timeout(2 * self.timeout_s):
                replication = await info.read(connection, "replication")
                replicas = int(replication.get("connected_slaves", 0))
                if not replicas:
                    return True
                return int(await connection.call("WAIT", replicas, int(self.timeout_s * 1000))) >= replicas

    def _for_changes(self) -> Connection:
        if self._aside is None:
            return self._connected()
        connection = self._aside()
        if connection is None:
            raise StoreUnavailableError("there is no connection to the store for changes")
        return connection

    @contextmanager
    def _changing(self, connection: Connection) -> Iterator[None]:
        """Ends the connection for changes where it gives no answer in time: what else waits on it is tried again.

        A firewall may have forgotten it, and nothing but a new one would ever be answered.
        """
        try:
            with _faults():
                yield
        except StoreUnavailableError as error:
            if self._aside is not None and isinstance(error.__cause__, TimeoutError):
                connection.close()
            raise

    async def drain(self, tenants: Mapping[str, Iterable[Counts]]) -> dict[str, list[Counts]]:
        """The usage counts of some tenants, of one slot on a cluster, in one call.

        What is given for each is forgotten unless it has gone up: counts of old minutes or runs that are stored for
        good. Raises StoreUnavailableError.
        """
        stored = [
            [part for each in counts for part in (f"{each.minute_us}:{each.run}", sum(each.fields.values()))]
            for counts in tenants.values()
        ]
        answer = await self._now(self._drain, [state_key(each) for each in tenants], msgspec.msgpack.encode(stored))
        return {
            tenant_id: [_counts(name, fields) for name, fields in zip(each[::2], each[1::2], strict=True)]
            for tenant_id, each in zip(tenants, msgspec.msgpack.decode(answer), strict=True)
        }

    async def tenants(self) -> AsyncIterator[list[str]]:
        """Everybody that the server has a state of, some at a time; who comes or goes meanwhile may be missing.

        Raises StoreUnavailableError.
        """
        cursor: Argument = 0
        while True:
            connection = self._connected()
            with _faults():
                async with asyncio.timeout(self.timeout_s):
                    cursor, keys = await connection.call("SCAN", cursor, "MATCH", state_key("*"), "COUNT", _SCAN_COUNT)
            yield [tenant_of(key.decode()) for key in keys]
            if cursor == b"0":
                return

    async def _now(self, script: Script, keys: list[str], *arguments: Argument, on: Connection | None = None) -> Any:
        connection = self._connected()
        with _faults():
            async with asyncio.timeout(self.timeout_s):
                return await self._run_script(on or connection, script, keys, arguments)

    def _connected(self) -> Connection:
        connection = self._connection()
        if connection is None or self.hangs:
            raise StoreUnavailableError("there is no connection to the store")
        return connection

    async def take(self, question: Question, *, slot: int = 0, until_s: float | None = None) -> Taken | Stale:
        """Decide and count.

        ``slot``: of all tenants in question, on a cluster. ``until_s``: when the request is given up, a reading of the
        monotonic clock, where that is before ``timeout_s`` is over. Raises StoreUnavailableError.
        """
        return await answer_to(lambda tell: self.ask(tell, question, slot=slot, until_s=until_s))

    def ask(self, tell: Tell, question: Question, *, slot: int = 0, until_s: float | None = None) -> bool:
        """See ``SharedLimits.ask``, and ``take``."""
        batch = self._batches.get(slot)
        if batch is None or len(batch.waiting) >= _MAX_BATCH:
            batch = self._new_batch(slot)
        batch.requests.append(_packed(batch, question))
        waiting = Waiting(tell, tuple(question.fences), len(question.limit_set.limits))
        batch.waiting.append(waiting)
        if until_s is not None and until_s < batch.until_s:
            waiting.give_up_at(until_s)
        return True

    def _new_batch(self, slot: int) -> Batch:
        batch = self._batches[slot] = Batch(slot, time.monotonic() + self.timeout_s, self._connection())
        # In a context of its own: it may be a traced request that is the first of it.
        asyncio.get_running_loop().call_soon(self._begin, batch, context=Context())
        return batch

    def _begin(self, batch: Batch) -> None:
        if self._batches.get(batch.slot) is batch:
            del self._batches[batch.slot]
        self.send(batch)

    def send(self, batch: Batch, *, asks: bool = False) -> None:
        """Send a batch on its way, or once more. ``asks``: the server has not got the slot yet, but the keys.

        On another connection than the one that it was made under, its server may be of an earlier time and have the
        tokens that an old record rests on. Does not raise.
        """
        try:
            self._send(batch, asks=asks)
        except Exception:
            logger.exception("Valkey could not be called")
            batch.fail("the store could not be called")

    def _send(self, batch: Batch, *, asks: bool) -> None:
        connection = self._connection()
        if connection is None or self._offset_us is None or self.hung.is_set():
            batch.fail("there is no connection to the store")
            return
        if connection is not batch.under:
            batch.be_asked_again()
            return
        deadline_us = batch.until_s * _US + self._offset_us
        head = packing.call(deadline_us, secrets.token_urlsafe(12).encode(), self._run.encode())
        if asks:
            connection.call("ASKING")
        # Not before: who drains them behind this call gets what it counts.
        self.touched.update(batch.counted)
        answer = self._script.call(connection, list(batch.keys), head, b"".join(batch.requests))
        batch.timer = asyncio.get_running_loop().call_at(batch.until_s, self._look_once_more, batch)
        answer.add_done_callback(lambda done: self._answered(batch, connection, done))

    def _answered(self, batch: Batch, connection: Connection, done: asyncio.Future[bytes]) -> None:
        assert batch.timer is not None
        batch.timer.cancel()
        error = done.exception()
        if is_forgotten(error):
            # Nothing was done: what waits is sent once more, in order, behind the script itself.
            connection.call("SCRIPT", "LOAD", self._script.text)
            self.send(batch)
            return
        if error is not None:
            if isinstance(error, RefusedError):
                if self._reroute is not None and self._reroute(batch, error):
                    return
                self._log(error)
            batch.fail(str(error))
            return
        try:
            self._hand_over(batch, packing.answers(done.result()))
        except Exception:
            logger.exception("an answer of Valkey could not be read")
            batch.fail("the store's answer could not be read")

    def _hand_over(self, batch: Batch, values: list[Any]) -> None:
        self._learn_time(values[0])
        if len(values) == 1:
            batch.fail("the store answered too late")
            return
        at = 1
        for waiting in batch.waiting:
            answer, end = read(waiting, values, at)
            waiting.answer(answer, counted=values[at] != packing.STALE)
            at = end

    def _log(self, error: RefusedError) -> None:
        """A server that answers, and refuses to decide, is nothing that passes by itself; a slot that moves does."""
        is_moving = self._reroute is not None and error.kind in _MOVING
        if error.kind not in self._logged and not is_moving:
            self._logged.add(error.kind)
            logger.error("Valkey refuses to decide, limits are kept by this node alone meanwhile: %s", error)

    def _look_once_more(self, batch: Batch) -> None:
        # After a long turn the answer may have arrived, and only not been read.
        batch.timer = asyncio.get_running_loop().call_later(_LAST_LOOK_S, self._give_up, batch)

    def _give_up(self, batch: Batch) -> None:
        self.hung.set()
        for waiting in batch.waiting:
            waiting.give_up("the store did not answer in time")

    def _learn_time(self, store_us: int) -> None:
        offset_us = store_us - time.monotonic() * _US
        known_us = self._offset_us
        # Far below what was known, the store's clock was set back.
        if known_us is None or offset_us > known_us or offset_us < known_us - 2 * self.timeout_s * _US:
            self._offset_us = offset_us


def _counts(name: str, fields: list[Any]) -> Counts:
    minute, _, run = name.partition(":")
    return Counts(int(minute), run, dict(zip(fields[::2], fields[1::2], strict=True)))


def _packed(batch: Batch, question: Question) -> bytes:
    tenant_id, limits, fences = question.tenant_id, question.limit_set.limits, question.fences
    home = batch.index(state_key(tenant_id))
    subject, counted_for, usage_id = b"", 0, question.usage_id
    if usage_id is not None:
        batch.counted[tenant_id] = None
        subject, counted_for = f"{usage_id[1]}|{usage_id[2]}|{question.operation}|".encode(), home
    cost, outcome = question.cost, question.outcome.encode()
    token, first = fences.get(tenant_id), limits[0] if limits else None
    if token is not None and first is not None and not first.window and len(fences) == len(limits) == 1:
        return packing.plain_request(cost, counted_for, home, first.limit, token.encode(), subject, outcome)
    packed = []
    for limit in limits:
        owner = limit.tenant_id or tenant_id
        tenant = batch.index(state_key(owner))
        window = batch.index(own_window_key(owner, limit.window)) if limit.window else tenant
        packed.append((tenant, window, limit.limit))
    expected = [(batch.index(state_key(fenced)), token.encode()) for fenced, token in fences.items()]
    return packing.request(cost, counted_for, packed, expected, subject, outcome)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, RefusedError, ConnectionLostError) as error:
        raise StoreUnavailableError(str(error) or "the store did not answer in time") from error
