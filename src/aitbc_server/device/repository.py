"""Queries on sign-ins of devices."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp
from aitbc_server.device.model import DeviceGrantRow


async def get(session: AsyncSession, grant_id: str, *, for_update: bool = False) -> DeviceGrantRow | None:
    """One sign-in; ``for_update`` holds it until the transaction ends."""
    return await session.get(DeviceGrantRow, grant_id, with_for_update=for_update or None)


async def by_user_code(session: AsyncSession, digest: bytes) -> DeviceGrantRow | None:
    """The sign-in with this code for people, held until the transaction ends."""
    statement = select(DeviceGrantRow).where(DeviceGrantRow.user_code_digest == digest)
    return (await session.scalars(statement.with_for_update())).one_or_none()


async def by_device_code(session: AsyncSession, digest: bytes) -> DeviceGrantRow | None:
    """The sign-in with this code for devices, held until the transaction ends."""
    statement = select(DeviceGrantRow).where(DeviceGrantRow.device_digest == digest)
    return (await session.scalars(statement.with_for_update())).one_or_none()


async def remove_expired(session: AsyncSession, before: Timestamp) -> None:
    """Delete what expired before then."""
    await session.execute(delete(DeviceGrantRow).where(DeviceGrantRow.expires_at < before))
