"""People of an installation: accounts with a role in a tenant, each with a browser that is signed in."""

from __future__ import annotations

from tests.support.browser import Browser
from tests.usage.world import World

from aitbc_server.clock import now
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.users.model import MembershipRow, UserRow
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import Sessions

SESSION = "__Host-aitbc-session"


async def add_person(
    world: World,
    name: str,
    *roles: tuple[str, Role],
    is_operator: bool = False,
) -> str:
    """An account with what it is in which tenants; its id."""
    at = now(world.clock)
    user_id = f"usr_{name}"
    async with world.database.write() as session:
        session.add(
            UserRow(
                id=user_id,
                email=f"{name}@example.com",
                name=name.title(),
                password_hash=None,
                verified_at=at,
                is_operator=is_operator,
                created_at=at,
            )
        )
        await session.flush()
        session.add_all(
            MembershipRow(tenant_id=tenant, user_id=user_id, role=role, created_at=at) for tenant, role in roles
        )
        await session.commit()
    return user_id


async def sign_in(world: World, browser: Browser, user_id: str) -> Browser:
    """Give the browser a session of this person, as the sign-in would."""
    units = UnitsOfWork(world.database, LocalFences(lambda tenant_ids: None), world.clock)
    async with units.begin() as unit:
        token = await Sessions(units).start(unit.session, user_id, client_ip="192.0.2.1", user_agent="Browser")
        await unit.commit()
    browser.cookies[SESSION] = token
    return browser
