"""The services of jobs and miners over a real database, without the HTTP in front, with a clock that tests turn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.usage.world import Clock, World

from aitbc.schemas.jobs import Job
from aitbc.schemas.miners import AssignedJob, Heartbeat, RegisterMiner, SubmitFailure, SubmitResult
from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import US_PER_S
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.jobs.service import JobService
from aitbc_server.jobs.sweeper import JobSweeper
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.miners.polling import JobDispatch
from aitbc_server.miners.presence import Presence
from aitbc_server.miners.service import MinerService
from aitbc_server.pagination import Cursors

LEASE_S = 60.0
ROUTE = "jobs.create"


async def allowed() -> None:
    """The key is still good."""


async def stays() -> None:
    """The client stays until it is answered."""
    await asyncio.Event().wait()


class Node:
    """One process of the server: its own waiting room, on a database that it may share with other nodes."""

    def __init__(self, database: Database, world: World, clock: Clock) -> None:
        units = UnitsOfWork(database, LocalFences(lambda tenant_ids: None), clock)
        cursors, audit = Cursors(world.secret_keys), AuditLog(world.secret_keys, clock)
        self.clock = clock
        self.waiting = WaitingRoom()
        self.jobs = JobService(units, cursors, IdempotencyKeys(units), self.waiting, audit)
        self.presence = Presence(units, lease_s=LEASE_S)
        self.miners = MinerService(units, cursors, self.waiting, self.presence)
        self.dispatch = JobDispatch(units, self.waiting, self.presence, lease_s=LEASE_S)
        self.sweeper = JobSweeper(units, self.waiting, self.presence.flush)

    async def submit(self, actor: Actor, payload: dict[str, Any] | None = None, **settings: Any) -> Job:
        """Queue a job in its full form."""
        return await self.jobs.create(actor, {"payload": payload or {"a": 1}, **settings}, route=ROUTE)

    async def register(self, actor: Actor, miner_id: str | None = None, **fields: Any) -> None:
        """Register a miner."""
        await self.miners.register(actor, miner_id, RegisterMiner(**fields))

    async def poll(self, actor: Actor, miner_id: str | None = None, max_wait_s: float = 0) -> AssignedJob | None:
        """Ask for a job."""
        return await self.dispatch.poll(actor, miner_id, max_wait_s, still_allowed=allowed, disconnected=stays)

    async def work(self, actor: Actor, miner_id: str | None = None) -> AssignedJob:
        """Ask for a job that must be there."""
        job = await self.poll(actor, miner_id)
        assert job is not None
        return job

    async def beat(self, actor: Actor, miner_id: str | None = None) -> None:
        """Send a heartbeat."""
        await self.miners.heartbeat(actor, miner_id, Heartbeat())

    async def finish(self, actor: Actor, job_id: str, miner_id: str | None = None, **result: Any) -> Any:
        """Hand in a result."""
        return await self.miners.submit_result(actor, job_id, miner_id, SubmitResult(result=result))

    async def give_up(self, actor: Actor, job_id: str, code: str = "oom", message: str = "") -> None:
        """Report a failure."""
        failure = SubmitFailure(error_code=code, error_message=message)
        await self.miners.submit_failure(actor, job_id, None, failure)

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock, and sweep."""
        self.clock.now_us += int(seconds * US_PER_S)
        await self.sweeper.step()


class Market:
    """One node with two tenants: acme (a client and a miner in each environment) and rival (the same)."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = Clock()
        self.world = World(database, folder, self.clock)
        self.node = Node(database, self.world, self.clock)

    def other_node(self) -> Node:
        """Another process on the same database."""
        return Node(self.database, self.world, self.clock)

    async def open(self) -> None:
        """Make the tenants and their keys."""
        for tenant_id in ("acme", "rival"):
            await self.world.add_tenant(tenant_id)
        self.client, self.miner = await self.actor("acme"), await self.actor("acme")
        self.stranger, self.strange_miner = await self.actor("rival"), await self.actor("rival")

    async def actor(self, tenant_id: str, environment: Environment = Environment.LIVE) -> Actor:
        """A fresh key of the tenant, acting."""
        key = await self.world.add_key(tenant_id, environment)
        return Actor(
            type="api_key",
            id=key.id,
            name="a key",
            tenant_id=tenant_id,
            scopes=frozenset(Scope),
            environment=environment,
            kid=key.kid,
        )
