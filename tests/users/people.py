"""People, tenants and sessions over one database, and a clock that tests turn."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import now
from aitbc_server.db.base import Base
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users.model import MembershipRow, UserRow
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import Sessions

START_US = 1_800_000_000_000_000


class People:
    """What every test of accounts needs; ``pass_time`` turns the clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_us = START_US
        self.stale: set[str] = set()
        self.units = UnitsOfWork(database, LocalFences(self._drop), self.clock)
        self.sessions = Sessions(self.units)

    def clock(self) -> int:
        """The time that the test set."""
        return self.now_us

    def pass_time(self, span: timedelta) -> None:
        """Let time pass."""
        self.now_us += span // timedelta(microseconds=1)

    async def add_tenant(self, tenant_id: str, *, suspended: bool = False) -> None:
        """A tenant on the plan free."""
        at = now(self.clock)
        await self.add(
            TenantRow(
                id=tenant_id,
                name=tenant_id.title(),
                plan_id="free",
                created_at=at,
                suspended_at=at if suspended else None,
            )
        )

    async def add_user(
        self,
        name: str,
        *roles: tuple[str, Role],
        verified: bool = True,
        disabled: bool = False,
        password_hash: str | None = None,
        is_operator: bool = False,
    ) -> str:
        """A person called ``name``, who is something in tenants; their id."""
        at = now(self.clock)
        user_id = f"usr_{name}"
        await self.add(
            UserRow(
                id=user_id,
                email=f"{name}@example.com",
                name=name.title(),
                password_hash=password_hash,
                verified_at=at if verified else None,
                disabled_at=at if disabled else None,
                is_operator=is_operator,
                created_at=at,
            )
        )
        await self.add(
            *(MembershipRow(tenant_id=tenant, user_id=user_id, role=role, created_at=at) for tenant, role in roles)
        )
        return user_id

    async def add(self, *rows: Base) -> None:
        """Rows as they are."""
        async with self.database.write() as session:
            session.add_all(rows)
            await session.commit()

    async def sign_in(self, user_id: str) -> str:
        """A session for a person; its token."""
        async with self.units.begin() as unit:
            token = await self.sessions.start(
                unit.session, user_id, client_ip="192.0.2.1", user_agent="Browser/1.0 (\x00X)"
            )
            await unit.commit()
            return token

    async def user(self, user_id: str) -> UserRow | None:
        """A person as they are in the database."""
        async with self.database.read() as session:
            return await session.get(UserRow, user_id)

    async def count(self, table: type[Base]) -> int:
        """How many rows there are."""
        async with self.database.read() as session:
            return await _count(session, table)

    def _drop(self, tenant_ids: Iterable[str]) -> None:
        self.stale |= set(tenant_ids)


async def _count(session: AsyncSession, table: type[Base]) -> int:
    return await session.scalar(select(func.count()).select_from(table)) or 0
