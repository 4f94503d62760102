"""The only place that wires things together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from litestar import Request
from litestar.handlers import BaseRouteHandler

from aitbc_server import health
from aitbc_server.actor import Actor, key_actor, user_actor
from aitbc_server.api_keys import api as api_keys_api
from aitbc_server.api_keys import dashboard as api_keys_pages
from aitbc_server.api_keys.credentials.retagging import PepperRotation
from aitbc_server.api_keys.credentials.source import DatabaseCredentialSource
from aitbc_server.api_keys.revocations import revoke_again
from aitbc_server.api_keys.setup import api_key_service
from aitbc_server.audit import api as audit_api
from aitbc_server.audit import dashboard as audit_pages
from aitbc_server.audit.service import AuditReader
from aitbc_server.clock import Clock, system_clock
from aitbc_server.dashboard import home, static
from aitbc_server.dashboard.not_found import NotFoundPage
from aitbc_server.dashboard.redirects import SeeOther, see_other
from aitbc_server.dashboard.setup import Dashboard, form_of, person_of
from aitbc_server.db.draining import DRAIN_INTERVAL_S, FLEET_DRAIN_INTERVAL_S, OutboxDrainer
from aitbc_server.db.engine import Database
from aitbc_server.db.identity import IdentityWatch
from aitbc_server.device import api as device_api
from aitbc_server.device import dashboard as device_pages
from aitbc_server.device.setup import device_services
from aitbc_server.foundation import Foundation
from aitbc_server.gate.asgi import App, GateMiddleware, Handler
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.cors import Cors
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.gate import Gate
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.loads import TurnLoads
from aitbc_server.gate.numbers import CountedSource, NodeNumbers, Source
from aitbc_server.gate.operations import UNMATCHED, Operations
from aitbc_server.gate.own_operations import SELF, VERIFY
from aitbc_server.gate.refusals import RefusalLog
from aitbc_server.gate.request import ClientAddress
from aitbc_server.gate.self_handler import SelfHandler
from aitbc_server.gate.shared_gate import SharedGate
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.gate.verify import VerifyHandler
from aitbc_server.health import Readiness
from aitbc_server.jobs import across_nodes
from aitbc_server.jobs import api as jobs_api
from aitbc_server.jobs import dashboard as jobs_pages
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.mail import dashboard as mail_pages
from aitbc_server.mail import sender as mail_sender
from aitbc_server.mail.reading import MailReader
from aitbc_server.metrics.collector import Metrics, Sources
from aitbc_server.metrics.listener import listening
from aitbc_server.metrics.sampling import Sampled
from aitbc_server.miners import api as miners_api
from aitbc_server.miners import dashboard as miners_pages
from aitbc_server.miners.setup import Market
from aitbc_server.openapi import route as openapi
from aitbc_server.periodic import repeating
from aitbc_server.serving.windows import kept_windows
from aitbc_server.settings import Settings
from aitbc_server.stopping import Stopping
from aitbc_server.tenants import dashboard as tenants_pages
from aitbc_server.tenants.setup import tenant_services
from aitbc_server.tracing.requests import Traces
from aitbc_server.usage import api as usage_api
from aitbc_server.usage import dashboard as usage_pages
from aitbc_server.usage.flusher import UsageFlusher
from aitbc_server.usage.last_use import LastUses
from aitbc_server.usage.setup import usage_services
from aitbc_server.usage.shared_counts import SharedCounts
from aitbc_server.usage.upkeep import UsageUpkeep
from aitbc_server.users import dashboard as users_pages
from aitbc_server.users.names import UserNames
from aitbc_server.users.setup import accounts_of
from aitbc_server.web.framework import ACCESS, Served
from aitbc_server.web.http_errors import ERROR_PAGE, REFUSALS
from aitbc_server.web.routing import routes_of

_ROUTES = (
    *health.ROUTES,
    *api_keys_api.ROUTES,
    *usage_api.ROUTES,
    *audit_api.ROUTES,
    *jobs_api.ROUTES,
    *miners_api.ROUTES,
    *device_api.ROUTES,
    *openapi.ROUTES,
    *home.ROUTES,
    *api_keys_pages.ROUTES,
    *jobs_pages.ROUTES,
    *miners_pages.ROUTES,
    *audit_pages.ROUTES,
    *users_pages.ROUTES,
    *device_pages.ROUTES,
    *usage_pages.ROUTES,
    *tenants_pages.ROUTES,
    *static.ROUTES,
)


def create_app(settings: Settings, clock: Clock = system_clock, stopping: Stopping | None = None) -> App:
    """The whole server as one ASGI app. ``stopping`` tells it of a stop before requests in flight are waited for."""
    stopping = stopping or Stopping()
    base = Foundation(settings, clock)
    database, units, secret_keys = base.database, base.units, base.secret_keys
    counter = UsageCounter()
    last_uses = LastUses(database, clock)
    rotation = PepperRotation(database, base.digests)
    store = MemoryStore(clock, counter)
    refusals = RefusalLog()
    api_keys = api_key_service(base, last_uses)
    device = device_services(base)
    gate = _gate(base, rotation, store, counter, last_uses)
    metrics = _metrics(base, counter, refusals)
    traced = Traces(base.tracer)
    market = Market(base, stopping, traced.job_ended)
    accounts = accounts_of(base)
    # Whoever opens it reads everybody's mails: elsewhere there is no such page.
    routes = (*_ROUTES, *mail_pages.ROUTES) if settings.dev else _ROUTES
    dashboard = Dashboard(settings, secret_keys, accounts.sessions, _paths(routes), clock)
    app = Served(
        routes,
        services={
            ACCESS: dashboard.access,
            ERROR_PAGE: dashboard.pages.error,
            REFUSALS: refusals,
            **dashboard.services,
            "api_keys": api_keys,
            "user_names": UserNames(units),
            **market.services,
            "gate": gate,
            "readiness": _readiness(base, stopping),
            "mailbox": base.mailbox,
            "mail_reader": MailReader(units, secret_keys),
            "accounts": accounts,
            "audit_log": AuditReader(units, base.cursors, base.audit),
            **usage_services(base, counter, store, dashboard.pages, accounts.sessions, stopping),
            **tenant_services(base),
            **device._asdict(),
        },
        # Left in the opposite order: the database closes when everything is stored, and that happens when everything
        # is counted, which may be known only when the shared store is left.
        lifespan=[
            traced.running,
            lambda: _closing(database),
            lambda: kept_windows(store, settings.data_dir / "limits.msgpack", clock),
            UsageFlusher(counter, database, clock, settings.data_dir / "usage.journal").running,
            gate.settling,
            lambda: _in_fleet(base, market.waiting),
            _database_watch(base).running,
            lambda: _draining(base),
            lambda: _metrics_served(metrics, settings),
            last_uses.running,
            UsageUpkeep(database, clock, settings.usage_retention).running,
            *market.lifespan,
            base.idempotency.purging,
            accounts.running,
            rotation.running,
            device.device_sign_ins.purging,
            lambda: mail_sender.sending(settings, database, secret_keys, clock),
        ],
        dependencies=_DEPENDENCIES,
        errors=_ERRORS,
    )
    handlers = _handlers(gate, refusals, last_uses, dashboard)
    served = _behind_the_gate(app, traced.gate(gate), handlers, refusals, settings)
    return traced.app(served if metrics is None else Sampled(served, metrics.latency))


def _readiness(base: Foundation, stopping: Stopping) -> Readiness:
    return Readiness(base.database, stopping, base.shared, needs_store=base.settings.on_store_failure == "deny")


def _metrics(base: Foundation, counter: UsageCounter, refusals: RefusalLog) -> Metrics | None:
    """What monitoring reads, where an address for it is set."""
    if base.settings.metrics_address is None:
        return None
    return Metrics(Sources(counter, refusals, base.cache, base.database, base.shared, base.numbers or NodeNumbers()))


@asynccontextmanager
async def _metrics_served(metrics: Metrics | None, settings: Settings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        if metrics is not None and settings.metrics_address is not None:
            await stack.enter_async_context(listening(metrics, *settings.metrics_address))
        yield


def _gate(
    base: Foundation, rotation: PepperRotation, store: MemoryStore, counter: UsageCounter, last_uses: LastUses
) -> Gate:
    """What decides about API keys: by this process's memory, or by the store that its fleet shares."""
    source: Source = DatabaseCredentialSource(base.database, base.digests, rotation, base.clock)
    if base.numbers is not None:
        source = CountedSource(source, base.numbers)
    parts: dict[str, Any] = {
        "source": source,
        "cache": base.cache,
        "guesses": GuessLimiter(base.settings.max_failures_per_minute),
        "recorder": last_uses,
        "clock": base.clock,
    }
    if base.shared is None:
        return Gate(store=store, **parts)
    return SharedGate(
        shared=base.shared.store,
        alone=store,
        counter=counter,
        fences=base.shared.fences,
        turn_loads=TurnLoads(source),
        denies_alone=base.settings.on_store_failure == "deny",
        numbers=base.numbers,
        **parts,
    )


@asynccontextmanager
async def _in_fleet(base: Foundation, waiting: WaitingRoom) -> AsyncIterator[None]:
    """The store that nodes share, and what they tell one another; nothing where there is one node."""
    async with AsyncExitStack() as stack:
        if base.shared is not None:
            await stack.enter_async_context(base.shared.running())
            await stack.enter_async_context(across_nodes.connected(waiting, base.database))
            counts = SharedCounts(base.shared.store, base.database, base.clock, base.numbers)
            await stack.enter_async_context(counts.running())
        yield


def _database_watch(base: Foundation) -> IdentityWatch:
    """Notices a database that was put back, under which nothing that is known of keys may be believed."""
    forget = base.cache.drop_all if base.shared is None else base.shared.fences.forget

    async def correct() -> None:
        await revoke_again(base.units, base.audit, base.settings.data_dir)
        if base.shared is not None:
            await base.shared.ensure_ours()

    return IdentityWatch(base.database, forget, correct)


def _draining(base: Foundation) -> AbstractAsyncContextManager[None]:
    """What is changed elsewhere takes effect here."""
    raise_fences = None if base.shared is None else base.shared.raise_or_fail
    return repeating(
        OutboxDrainer(base.database, base.cache.drop, base.clock, raise_fences).drain,
        interval_s=DRAIN_INTERVAL_S if base.shared is None else FLEET_DRAIN_INTERVAL_S,
        name="draining the fence outbox",
        # The way to the store tells of that itself.
        expected=(StoreUnavailableError,),
    )


def _handlers(gate: Gate, refusals: RefusalLog, last_uses: LastUses, dashboard: Dashboard) -> dict[str, Handler]:
    """What is answered in front of the framework, by the operation's id."""
    return {
        SELF.id: SelfHandler(last_uses),
        VERIFY.id: VerifyHandler(gate, refusals),
        UNMATCHED.operation.id: NotFoundPage(dashboard.pages),
    }


def _behind_the_gate(
    app: Served, gate: Gate, handlers: Mapping[str, Handler], refusals: RefusalLog, settings: Settings
) -> App:
    """The framework with the gate in front of it; what ``handlers`` answer never gets that far."""
    https = settings.public_url.startswith("https://")
    served = GateMiddleware(
        app,
        gate=gate,
        operations=Operations(routes_of(app.framework)),
        handlers=handlers,
        client_address=ClientAddress(settings.trusted_proxies),
        refusals=refusals,
        allowed_hosts=settings.allowed_hosts,
        https=https,
    )
    return Cors(served, settings.cors_origins, https=https) if settings.cors_origins else served


@asynccontextmanager
async def _closing(database: Database) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await database.close()


def _paths(routes: Sequence[BaseRouteHandler]) -> set[str]:
    """The paths of all routes, as they are declared."""
    return {path for handler in routes for path in handler.paths}


def _actor(request: Request[Any, Any, Any]) -> Actor:
    context: Context = request.scope[CONTEXT]  # type: ignore[literal-required]
    return user_actor(person_of(request), context) if context.operation.page else key_actor(context)


# What handlers get by name beside the services, and how what pages raise is answered.
_DEPENDENCIES: Mapping[str, Callable[..., Any]] = {"actor": _actor, "signed_in": person_of, "form": form_of}
_ERRORS: Mapping[type[Exception], Callable[..., Any]] = {SeeOther: see_other}
