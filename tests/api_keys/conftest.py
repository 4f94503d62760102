"""An installation with two tenants on each database, and the people who speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.api_keys.people import People, Speaker, add_people
from tests.usage.world import Clock, World

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.imports import KeyImports
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.audit.service import AuditLog
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.pagination import Cursors
from aitbc_server.usage.last_use import LastUses


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def world(database: Database, tmp_path: Path, clock: Clock) -> World:
    """A fresh installation on each database."""
    return World(database, tmp_path, clock)


@pytest.fixture
async def people(world: World) -> People:
    """The keys of two tenants, straight in the database."""
    return await add_people(world)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """The whole server in this process."""
    async with world.server() as client:
        yield client


@pytest.fixture
def manager(client: httpx2.AsyncClient, people: People) -> Speaker:
    """Speaks to the server with the manager key of acme, environment live."""
    return Speaker(client, people.manager)


@pytest.fixture
def member(client: httpx2.AsyncClient, people: People) -> Speaker:
    """Speaks with a client key of acme, environment live."""
    return Speaker(client, people.member)


@pytest.fixture
def stranger(client: httpx2.AsyncClient, people: People) -> Speaker:
    """Speaks with a manager key of another tenant."""
    return Speaker(client, people.stranger)


@pytest.fixture
def units(database: Database, clock: Clock) -> UnitsOfWork:
    """Units of work whose fences nobody hears."""
    return UnitsOfWork(database, LocalFences(lambda tenant_ids: None), clock)


@pytest.fixture
def service(world: World, units: UnitsOfWork, clock: Clock) -> ApiKeyService:
    """The service by itself, as the command line has it."""
    return ApiKeyService(
        units,
        SecretDigests(world.secret_keys),
        AuditLog(world.secret_keys, clock),
        Cursors(world.secret_keys),
        IdempotencyKeys(units),
        LastUses(world.database, clock),
    )


@pytest.fixture
def imports(world: World, units: UnitsOfWork, clock: Clock) -> KeyImports:
    """The operator's imports."""
    return KeyImports(units, SecretDigests(world.secret_keys), AuditLog(world.secret_keys, clock))
