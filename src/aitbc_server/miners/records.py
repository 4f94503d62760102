"""A miner as people see it on the dashboard, and by what they find it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from aitbc.schemas.scopes import Environment
from aitbc_server.clock import Timestamp
from aitbc_server.ids import key_id
from aitbc_server.miners import views
from aitbc_server.miners.model import MinerRow


class MinerStatus(StrEnum):
    """Whether a miner was heard of lately."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class MinerFilters(NamedTuple):
    """Which miners; None: any. ``q`` stands in the miner's id or its region, in capitals or not."""

    environment: Environment | None = None
    status: MinerStatus | None = None
    q: str | None = None


class MinerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A miner in a list. ``says`` is the state that it gives itself."""

    miner_id: str
    key_id: str
    environment: str
    status: MinerStatus
    says: str
    region: str | None
    concurrency: int
    inflight: int
    capabilities: dict[str, Any]
    registered_at: Timestamp
    last_seen_at: Timestamp


def record(row: MinerRow, at: Timestamp) -> MinerRecord:
    """The miner at a time."""
    return MinerRecord(
        miner_id=row.miner_id,
        key_id=key_id(row.kid),
        environment=row.environment,
        status=MinerStatus.ONLINE if at - row.last_seen_at <= views.ONLINE_FOR else MinerStatus.OFFLINE,
        says=row.status,
        region=row.region,
        concurrency=row.concurrency,
        inflight=row.inflight,
        capabilities=row.capabilities,
        registered_at=row.registered_at,
        last_seen_at=row.last_seen_at,
    )
