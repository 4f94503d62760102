"""A miner as the API shows it."""

from __future__ import annotations

from datetime import timedelta

from aitbc.schemas.miners import MAX_WAIT_S, Miner
from aitbc_server.clock import Timestamp
from aitbc_server.ids import key_id
from aitbc_server.miners.model import MinerRow

# A miner that only polls is seen at the start of each poll: the longest one, and some time to send the next.
ONLINE_FOR = timedelta(seconds=MAX_WAIT_S + 30)


def miner(row: MinerRow, at: Timestamp) -> Miner:
    """The miner; it is ONLINE if it was heard of lately."""
    return Miner(
        miner_id=row.miner_id,
        key_id=key_id(row.kid),
        status="ONLINE" if at - row.last_seen_at <= ONLINE_FOR else "OFFLINE",
        region=row.region,
        concurrency=row.concurrency,
        inflight=row.inflight,
        capabilities=row.capabilities,
        registered_at=row.registered_at,
        last_seen_at=row.last_seen_at,
    )
