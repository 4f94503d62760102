"""One node of a fleet at a time looks after usage: two of them would only wait for each other."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.db.locks import try_lock

# Any number will do that nothing else takes: "usage" in five bytes.
_ONE_AT_A_TIME = int.from_bytes(b"usage", "big")


async def is_alone(session: AsyncSession) -> bool:
    """Whether no other node is at it, and none will be until the transaction ends."""
    return await try_lock(session, _ONE_AT_A_TIME)
