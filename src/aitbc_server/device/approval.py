"""Who approved a sign-in, and what they may give away."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp
from aitbc_server.device.model import DeviceGrantRow
from aitbc_server.users import repository as users
from aitbc_server.users.roles import ROLE_SCOPES, Role
from aitbc_server.users.sessions import is_over, may_sign_in

#: What a device may ask for, the mightiest first. A key that checks other people's keys is no device's business.
PRESETS = (Preset.MANAGER, Preset.CLIENT, Preset.MINER)


def presets_for(role: Role, wanted: Preset) -> list[Preset]:
    """What a person of this role may give a device that asked for ``wanted``: that, or less; nothing at all where
    the role makes no keys. A manager is as much of one as the role allows: see ``scopes_of``.
    """
    scopes = ROLE_SCOPES[role]
    if Scope.API_KEYS_WRITE not in scopes:
        return []
    within = [preset for preset in PRESETS if PRESET_SCOPES[preset] <= PRESET_SCOPES[wanted]]
    return [preset for preset in within if preset is Preset.MANAGER or PRESET_SCOPES[preset] <= scopes]


def scopes_of(preset: Preset, person: Actor) -> frozenset[Scope]:
    """What a key of this preset may do that stands for a person: no more than they."""
    return frozenset(scope for scope in PRESET_SCOPES[preset] if person.may(scope))


async def approver(
    session: AsyncSession, grant: DeviceGrantRow, at: Timestamp, *, client_ip: str | None, request_id: str | None
) -> Actor | None:
    """The person who approved, as they are now; None where they could not approve it any more.

    They must still be in the tenant, and the session in which they approved must not have ended: whoever ends their
    sessions, because a password leaked, ends what was approved in them too (ASVS 7.4.1, 7.4.2, 8.3.2).
    """
    if not (grant.user_id and grant.tenant_id and grant.session_id):
        return None
    # Held until the key is made: who is disabled or deleted at this moment is so before it, or finds it.
    user = await users.user(session, grant.user_id, for_update=True)
    browser = await users.session_of(session, grant.user_id, grant.session_id)
    membership = await users.membership(session, grant.tenant_id, grant.user_id)
    if user is None or browser is None or membership is None or not may_sign_in(user) or is_over(browser, at):
        return None
    return person(
        user.id, user.email, grant.tenant_id, Role(membership.role), client_ip=client_ip, request_id=request_id
    )


def person(
    user_id: str, email: str, tenant_id: str, role: Role, *, client_ip: str | None, request_id: str | None
) -> Actor:
    """A person who acts for a tenant in this role."""
    return Actor(
        type="user",
        id=user_id,
        name=email,
        tenant_id=tenant_id,
        scopes=frozenset(ROLE_SCOPES[role]),
        client_ip=client_ip,
        request_id=request_id,
    )
