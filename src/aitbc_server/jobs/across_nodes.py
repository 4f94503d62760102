"""Wake-ups that cross nodes: a job that was queued on one node wakes a miner whose poll waits on another.

A node that has somebody for the job says nothing: it tells the others only once nobody here can have it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from aitbc_server.db.engine import Database
from aitbc_server.db.notices import MAX_NOTICE_BYTES, Notices
from aitbc_server.jobs.waiting import Offer, WaitingRoom

logger = logging.getLogger(__name__)


class Queued(msgspec.Struct, tag="queued", tag_field="type"):
    """A job waits, and the node that tells of it has nobody for it. Without constraints: they were too long to tell."""

    job_id: str
    environment: str
    tenant_id: str
    constraints: dict[str, Any] = msgspec.field(default_factory=dict)


class Freed(msgspec.Struct, tag="freed", tag_field="type"):
    """A lease of this miner ended."""

    kid: str
    miner_id: str


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Queued | Freed).decode


@asynccontextmanager
async def connected(room: WaitingRoom, database: Database) -> AsyncIterator[None]:
    """Let the room and those of the other nodes on this database know of one another until the block is left."""
    if database.is_sqlite:
        yield
        return
    notices = Notices(database.url, partial(hear, room))
    connect(room, notices.tell)
    async with notices.running():
        yield


def connect(room: WaitingRoom, tell: Callable[[bytes], None]) -> None:
    """Let the room tell other nodes, by ``tell``, what it has nobody for and who may have been busy elsewhere."""

    def queued(offer: Offer) -> None:
        notice = _encode(Queued(offer.job_id, offer.environment, offer.tenant_id, dict(offer.constraints)))
        if len(notice) > MAX_NOTICE_BYTES:
            # Whoever is woken in vain looks once, and sees that it is not for them.
            notice = _encode(Queued(offer.job_id, offer.environment, offer.tenant_id))
        tell(notice)

    room.nobody_here = queued
    room.freed_here = lambda kid, miner_id: tell(_encode(Freed(kid, miner_id)))


def hear(room: WaitingRoom, notice: bytes) -> None:
    """Another node told this."""
    try:
        heard = _decode(notice)
    except msgspec.DecodeError:
        logger.warning("a notice of another node cannot be read")
        return
    if isinstance(heard, Queued):
        room.heard(Offer(heard.job_id, heard.environment, heard.tenant_id, heard.constraints))
    else:
        room.wake_miner(heard.kid, heard.miner_id)
