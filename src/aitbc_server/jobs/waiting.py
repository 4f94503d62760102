"""Where long polls wait, without looking again and again: a queued job wakes one miner that may have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aitbc.schemas.scopes import Environment
from aitbc_server.jobs.matching import matches

#: A job of another process that nobody told of (see ``across_nodes.py``) is found by looking again, this often ...
RECHECK_S = 2.0
# ... and less often in a full room, so that all of its miners together cost this many looks a second at most.
_MAX_LOOKS_PER_S = 50

#: So many polls of one miner may wait, or as many as it can run jobs at once where that is more. Some are spare for
#: those whose client is gone without a word, and for two machines that go by one name.
POLLS_PER_MINER = 4


class Offer(NamedTuple):
    """A queued job, and what decides who may have it. ``is_heard``: every node knows that it waits."""

    job_id: str
    environment: str
    tenant_id: str
    constraints: Mapping[str, Any]
    is_heard: bool = False


class Seeker(NamedTuple):
    """A miner that looks for work."""

    kid: str
    miner_id: str
    environment: str
    tenant_id: str
    capabilities: Mapping[str, Any]
    region: str | None
    concurrency: int

    @property
    def name(self) -> tuple[str, str]:
        """What a miner is: a key and its miner_id."""
        return self.kid, self.miner_id

    @property
    def only_its_tenant(self) -> bool:
        """Live is a marketplace. A developer's test job must not run at a stranger's."""
        return self.environment != Environment.LIVE

    def may_have(self, offer: Offer) -> bool:
        """Whether this miner may be given the job."""
        return (
            offer.environment == self.environment
            and (offer.tenant_id == self.tenant_id or not self.only_its_tenant)
            and matches(offer.constraints, self.capabilities, self.region)
        )


class Waiter:
    """A seeker's place in the waiting room.

    ``offers`` are the jobs that it was woken for and has not looked for yet, by id: each with those who were
    woken for it before and did not take it. ``is_busy``: when it looked last, it had no hand free. ``is_over``: its
    client went away, or was sent home.
    """

    def __init__(self, seeker: Seeker) -> None:
        self.seeker = seeker
        self.offers: dict[str, tuple[Offer, frozenset[Waiter]]] = {}
        self.is_busy = False
        self.is_over = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Let the seeker look."""
        self._woken.set()

    def end(self) -> None:
        """There is nothing to wait for any more."""
        self.is_over = True
        self.wake()

    async def woken(self, timeout_s: float) -> bool:
        """Wait until there is a reason to look; False where none came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class WaitingRoom:
    """The long polls of this process, first come first served.

    A queued job wakes one waiter, not all. Who was woken and does not take the job (its client hung up, its time was
    over, it is busy, it found an older one) passes it on, as does leaving the room: no wake-up is lost. Nobody is
    woken twice for the same job, so that it ends. Who is busy is not woken for jobs but when a hand of it is free.

    ``nobody_here`` is told of a job that nobody in this room can have, or none of those who were woken for it took;
    ``freed_here`` of a miner whose lease ended by what was done here. In a fleet, both tell the other nodes.
    """

    def __init__(self) -> None:
        # In the order in which they came.
        self._waiters: dict[Waiter, None] = {}
        self._by_miner: dict[tuple[str, str], list[Waiter]] = {}
        self.closed = False
        self.nobody_here: Callable[[Offer], None] = _no_others
        self.freed_here: Callable[[str, str], None] = _no_others

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def recheck_s(self) -> float:
        """How long a waiter may sleep before it looks by itself."""
        return max(RECHECK_S, len(self._waiters) / _MAX_LOOKS_PER_S)

    @asynccontextmanager
    async def place(self, seeker: Seeker, disconnected: Callable[[], Awaitable[None]]) -> AsyncIterator[Waiter]:
        """A place in the room. It is given up as soon as ``disconnected`` returns: the waiter is woken and told.

        A miner that has too many places gives up its oldest.
        """
        waiter = Waiter(seeker)
        self._enter(waiter)

        async def watch() -> None:
            await disconnected()
            waiter.end()

        watching = asyncio.create_task(watch())
        try:
            yield waiter
        finally:
            watching.cancel()
            self._leave(waiter)
            self.pass_on(waiter)

    def queued(self, offer: Offer) -> None:
        """A job was queued, and is committed: wake one who may have it, the first of those who are free."""
        self._wake_one(offer, frozenset())

    def heard(self, offer: Offer) -> None:
        """Another node has nobody for this job. Whoever is woken here and leaves it tells no node again."""
        self._wake_one(offer._replace(is_heard=True), frozenset())

    def taken(self, waiter: Waiter, job_id: str) -> None:
        """The waiter got this job, and leaves those that it was woken for besides to others."""
        waiter.offers.pop(job_id, None)
        self.pass_on(waiter)

    def busy(self, waiter: Waiter) -> None:
        """The waiter has no hand free: others get what it was woken for."""
        waiter.is_busy = True
        self.pass_on(waiter)

    def looked(self, waiter: Waiter, known: Iterable[str], left: Container[str]) -> None:
        """The waiter took none of the jobs that it was woken for before it looked.

        They are gone, but those that it ``left`` to others, who are woken. What was offered while it looked stays: it
        has woken the waiter to look again.
        """
        waiter.is_busy = False
        for job_id in known:
            offer, asked = waiter.offers.pop(job_id)
            if job_id in left:
                self._wake_one(offer, asked | {waiter})

    def pass_on(self, waiter: Waiter) -> None:
        """The waiter takes nothing of what it was woken for: wake others."""
        offers, waiter.offers = waiter.offers, {}
        for offer, asked in offers.values():
            self._wake_one(offer, asked | {waiter})

    def freed(self, kid: str, miner_id: str) -> None:
        """A lease of this miner ended: it may have had no hand free until now, on whichever node it waits."""
        self.wake_miner(kid, miner_id)
        self.freed_here(kid, miner_id)

    def wake_miner(self, kid: str, miner_id: str) -> None:
        """The miner may have a hand free: let its polls here look."""
        for waiter in self._by_miner.get((kid, miner_id), ()):
            waiter.is_busy = False
            waiter.wake()

    def close(self) -> None:
        """The server stops: every poll ends with what it has, and none waits any more."""
        self.closed = True
        for waiter in self._waiters:
            waiter.wake()

    def _enter(self, waiter: Waiter) -> None:
        self._waiters[waiter] = None
        places = self._by_miner.setdefault(waiter.seeker.name, [])
        places.append(waiter)
        waiting = [each for each in places if not each.is_over]
        if len(waiting) > max(POLLS_PER_MINER, waiter.seeker.concurrency):
            waiting[0].end()

    def _leave(self, waiter: Waiter) -> None:
        del self._waiters[waiter]
        places = self._by_miner[waiter.seeker.name]
        places.remove(waiter)
        if not places:
            del self._by_miner[waiter.seeker.name]

    def _wake_one(self, offer: Offer, asked: frozenset[Waiter]) -> None:
        able = [
            waiter
            for waiter in self._waiters
            if not waiter.is_over and not waiter.is_busy and waiter not in asked and waiter.seeker.may_have(offer)
        ]
        if able:
            # Who is on its way to look already may be past the moment at which it would have seen this job.
            waiter = min(able, key=lambda each: len(each.offers))
            waiter.offers[offer.job_id] = (offer, asked)
            waiter.wake()
        elif not offer.is_heard:
            self.nobody_here(offer)


def _no_others(*_told: object) -> None:
    """There is no other node."""
