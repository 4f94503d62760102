"""The only place that wires things together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from litestar import Litestar, Request
from litestar.di import Provide

from aitbc_server import health, http_errors
from aitbc_server.actor import Actor, key_actor
from aitbc_server.api_keys import api as api_keys_api
from aitbc_server.api_keys.digests import SecretDigests
from aitbc_server.api_keys.retagging import PepperRotation
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.api_keys.source import DatabaseCredentialSource
from aitbc_server.audit import api as audit_api
from aitbc_server.audit.service import AuditLog, AuditReader
from aitbc_server.clock import Clock, Timestamp, system_clock
from aitbc_server.db.draining import DRAIN_INTERVAL_S, OutboxDrainer
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.gate.asgi import CONTEXT, App, GateMiddleware
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.cors import Cors
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.gate import Gate
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.operations import Operations
from aitbc_server.gate.own_operations import SELF, VERIFY
from aitbc_server.gate.request import ClientAddress
from aitbc_server.gate.self_handler import SelfHandler
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.gate.verify import VerifyHandler
from aitbc_server.health import Readiness
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.jobs import api as jobs_api
from aitbc_server.jobs.service import JobService
from aitbc_server.jobs.sweeper import JobSweeper
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.json_body import JsonRequest
from aitbc_server.json_limits import MAX_BODY_BYTES
from aitbc_server.miners import api as miners_api
from aitbc_server.miners.polling import JobDispatch
from aitbc_server.miners.service import MinerService
from aitbc_server.openapi import route as openapi
from aitbc_server.pagination import Cursors
from aitbc_server.periodic import repeating
from aitbc_server.routing import GUARDS, routes_of
from aitbc_server.serving.windows import kept_windows
from aitbc_server.settings import Settings
from aitbc_server.stopping import Stopping
from aitbc_server.usage import api as usage_api
from aitbc_server.usage.flusher import UsageFlusher
from aitbc_server.usage.last_use import LastUses
from aitbc_server.usage.service import UsageService

#: What runs beside the requests, from the start to the stop.
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(settings: Settings, clock: Clock = system_clock, stopping: Stopping | None = None) -> App:
    """The whole server as one ASGI app. ``stopping`` tells it of a stop before requests in flight are waited for."""
    stopping = stopping or Stopping()
    secret_keys = settings.load_secret_keys()
    database = Database(settings.sqlalchemy_url)
    cache = CredentialCache()
    counter = UsageCounter()
    last_uses = LastUses(database, clock)
    flusher = UsageFlusher(counter, database, clock, settings.data_dir / "usage.journal")
    digests = SecretDigests(secret_keys)
    rotation = PepperRotation(database, digests)
    units = UnitsOfWork(database, LocalFences(cache.drop), clock)
    audit = AuditLog(secret_keys, clock)
    cursors = Cursors(secret_keys)
    idempotency = IdempotencyKeys(units)
    waiting = WaitingRoom()
    stopping.add(waiting.close)
    store = MemoryStore(clock, counter)
    drainer = OutboxDrainer(database, cache.drop)
    lease_s = settings.lease_s
    sweeper = JobSweeper(units, waiting)
    api_keys = ApiKeyService(units, digests, audit, cursors, idempotency, last_uses)
    gate = Gate(
        source=DatabaseCredentialSource(database, digests, rotation, clock),
        store=store,
        cache=cache,
        guesses=GuessLimiter(settings.max_failures_per_minute),
        recorder=last_uses,
        clock=clock,
    )
    app = _framework(
        services={
            "api_keys": api_keys,
            "usage": UsageService(units, counter),
            "jobs": JobService(units, cursors, idempotency, waiting),
            "miners": MinerService(units, cursors, waiting, lease_s=lease_s),
            "dispatch": JobDispatch(units, waiting, lease_s=lease_s),
            "gate": gate,
            "readiness": Readiness(database, stopping),
            "audit_log": AuditReader(units, cursors),
        },
        # Left in the opposite order: the database closes when everything is stored.
        lifespan=[
            lambda _: _closing(database),
            lambda _: kept_windows(store, settings.data_dir / "limits.msgpack", clock),
            lambda _: repeating(drainer.drain, interval_s=DRAIN_INTERVAL_S, name="draining the fence outbox"),
            lambda _: last_uses.running(),
            lambda _: flusher.running(),
            lambda _: sweeper.running(),
            lambda _: idempotency.purging(),
            lambda _: rotation.running(),
        ],
    )
    served = GateMiddleware(
        cast("App", app),
        gate=gate,
        operations=Operations(routes_of(app)),
        handlers={SELF.id: SelfHandler(last_uses), VERIFY.id: VerifyHandler(gate)},
        client_address=ClientAddress(settings.trusted_proxies),
        allowed_hosts=settings.allowed_hosts,
    )
    return Cors(served, settings.cors_origins) if settings.cors_origins else served


def _framework(services: Mapping[str, Any], lifespan: Sequence[Lifespan]) -> Litestar:
    """Litestar with every route; handlers get ``services`` by name."""
    return Litestar(
        route_handlers=[
            *health.ROUTES,
            *api_keys_api.ROUTES,
            *usage_api.ROUTES,
            *audit_api.ROUTES,
            *jobs_api.ROUTES,
            *miners_api.ROUTES,
            *openapi.ROUTES,
        ],
        dependencies={
            "actor": Provide(_actor, sync_to_thread=False),
            **{name: _constant(service) for name, service in services.items()},
        },
        lifespan=lifespan,
        exception_handlers=http_errors.EXCEPTION_HANDLERS,
        guards=GUARDS,
        request_class=JsonRequest,
        type_encoders={Timestamp: Timestamp.text},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


@asynccontextmanager
async def _closing(database: Database) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await database.close()


def _actor(request: Request[Any, Any, Any]) -> Actor:
    return key_actor(request.scope[CONTEXT])  # type: ignore[literal-required]


def _constant(service: Any) -> Provide:
    return Provide(lambda: service, sync_to_thread=False)
