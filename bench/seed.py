"""A data folder as `aitbc serve` would find it after a while: tenants with a key each, and a job each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import insert

from aitbc import keyformat
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset, Scope
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import Timestamp, from_ms, now, system_clock, to_ms
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.ids import key_id, new_id
from aitbc_server.jobs.model import JobRow
from aitbc_server.settings import Settings
from aitbc_server.tenants.model import PlanRow, TenantRow

# High enough that nobody is refused: what is measured is the check of requests that pass.
BENCH_LIMIT = 10_000_000

# So many tenants go into a transaction: a million at once would not fit into memory.
_CHUNK = 10_000

_SCOPES = [scope for scope in Scope if scope in PRESET_SCOPES[Preset.CLIENT]]


class Seeded(NamedTuple):
    """A tenant of the folder, its one key, and the id of its one job."""

    tenant_id: str
    key: str
    job_id: str


def seed(
    data_dir: Path, tenants: int, *, plan: str = "bench", jobs: bool = False, returned: int | None = None
) -> list[Seeded]:
    """Make a folder: the plan "bench", and tenants on ``plan``; with ``jobs``, each has a finished one.

    Of ``returned`` tenants, spread evenly, it says which they are; of all of them for None.
    """
    data_dir.mkdir(mode=0o700)
    return asyncio.run(_seed(data_dir, tenants, plan, jobs, tenants // (returned or tenants)))


async def _seed(data_dir: Path, tenants: int, plan: str, with_jobs: bool, every: int) -> list[Seeded]:
    settings = Settings(data_dir=data_dir)
    digests = SecretDigests(settings.load_secret_keys())
    seeded = []
    database = Database(settings.sqlalchemy_url)
    try:
        await migrate.upgrade(database)
        await _insert(database, [(PlanRow, [{"id": "bench", "name": "Bench", "limit_per_minute": BENCH_LIMIT}])])
        for start in range(0, tenants, _CHUNK):
            chunk = range(start, min(start + _CHUNK, tenants))
            made = await _seed_chunk(database, chunk, plan, with_jobs, digests)
            seeded += [one for number, one in zip(chunk, made, strict=True) if number % every == 0]
    finally:
        await database.close()
    return seeded


async def _seed_chunk(
    database: Database, numbers: range, plan: str, with_jobs: bool, digests: SecretDigests
) -> list[Seeded]:
    at = now(system_clock)
    seeded, keys, jobs = [], [], []
    for number in numbers:
        parts = keyformat.generate(Environment.LIVE)
        one = Seeded(f"bench-{number:05d}", keyformat.build(*parts), new_id("job"))
        seeded.append(one)
        keys.append(_key(one, parts, digests, at))
        if with_jobs:
            jobs.append(_job(one, parts.kid, at))
    owners = [{"id": one.tenant_id, "name": "Bench", "plan_id": plan, "created_at": at} for one in seeded]
    await _insert(database, [(TenantRow, owners), (ApiKeyRow, keys), (JobRow, jobs)])
    return seeded


async def _insert(database: Database, tables: Sequence[tuple[Any, list[dict[str, Any]]]]) -> None:
    async with database.write() as session:
        for table, rows in tables:
            if rows:
                await session.execute(insert(table), rows)
        await session.commit()


def _key(one: Seeded, parts: keyformat.KeyParts, digests: SecretDigests, at: Timestamp) -> dict[str, Any]:
    digest = digests.digest(
        digests.newest, kid=parts.kid, tenant_id=one.tenant_id, environment=parts.environment, secret=parts.secret
    )
    return {
        "kid": parts.kid,
        "tenant_id": one.tenant_id,
        "environment": parts.environment,
        "name": "bench",
        "preset": Preset.CLIENT,
        "scopes": _SCOPES,
        "created_at": at,
        "enabled": True,
        "allowed_ips": [],
        "metadata_": {},
        "verifies_all": False,
        "made_by_dev": False,
        "digest": digest,
        "pepper_version": digests.newest,
        "last4": one.key[-4:],
        "secret_created_at": at,
    }


def _job(one: Seeded, kid: str, at: Timestamp) -> dict[str, Any]:
    return {
        "id": one.job_id,
        "tenant_id": one.tenant_id,
        "environment": Environment.LIVE,
        "key_id": key_id(kid),
        "state": "COMPLETED",
        "payload": {"type": "bench"},
        "constraints": {},
        "requested_at": at,
        "expires_at": from_ms(to_ms(at + timedelta(days=1))),
        "finished_at": at,
        "attempts": 1,
        "holder_kids": [],
    }
