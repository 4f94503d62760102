"""What operators do to accounts. They start things; nobody but the owner ever chooses a password (ASVS 6.4.6)."""

from __future__ import annotations

from aitbc.schemas.users import InvitedUser, User
from aitbc_server.actor import Actor
from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import Code, DomainError, conflict
from aitbc_server.ids import new_id
from aitbc_server.users import addresses, repository
from aitbc_server.users.events import Origin
from aitbc_server.users.links import Purpose
from aitbc_server.users.model import UserRow
from aitbc_server.users.parts import Parts
from aitbc_server.users.personal_keys import switch_keys_of


class UserAdministration:
    """For the operator. Changes stand in the audit log of the person's tenant, under the operator's name.

    Raises ``not_found`` where there is no account with the address.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, actor: Actor, email: str, *, is_operator: bool = False) -> InvitedUser:
        """An account without a password, and a single-use link for its owner (ASVS 6.4.1).

        Once more for the same address replaces the link. Raises ``conflict`` for an account that is in use.
        """
        email = addresses.clean(email)
        async with self._parts.units.begin() as unit:
            fresh = UserRow(
                id=new_id("usr"),
                email=email,
                name=email.partition("@")[0],
                is_operator=False,
                created_at=now(self._parts.units.clock),
            )
            user = await repository.ensure_user(unit.session, fresh)
            if user.verified_at is not None:
                raise conflict(f"There is an account with the address {email} already.")
            user.is_operator = is_operator
            token = await self._parts.links.make(unit.session, user.id, Purpose.SET_UP, email)
            link = await self._parts.links.find(unit.session, token, Purpose.SET_UP)
            await self._parts.events.changed(
                unit.session,
                user,
                "user.invited",
                _origin(actor),
                by=actor,
                after={"email": email, "is_operator": is_operator},
            )
            await unit.commit()
            return InvitedUser(
                **dict(_shown(user)),
                link=self._parts.letters.link(Purpose.SET_UP, token),
                link_expires_at=link.expires_at,
            )

    async def disable(self, actor: Actor, email: str) -> User:
        """Nobody signs in to this account any more, and whoever is signed in is out, command lines too (ASVS 7.4.2)."""
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, email)
            if user.disabled_at is None:
                user.disabled_at = now(self._parts.units.clock)
                await repository.delete_links(unit.session, user.id)
                await self._parts.sessions.end_all(unit.session, user.id)
                await switch_keys_of(unit, self._parts.audit, actor, user.id, disabled=True)
                await self._parts.events.changed(unit.session, user, "user.disabled", _origin(actor), by=actor)
                await unit.commit()
            return _shown(user)

    async def enable(self, actor: Actor, email: str) -> User:
        """The account can be used again, and so can the keys by which its owner is signed in on command lines."""
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, email)
            if user.disabled_at is not None:
                user.disabled_at = None
                await switch_keys_of(unit, self._parts.audit, actor, user.id, disabled=False)
                await self._parts.events.changed(unit.session, user, "user.enabled", _origin(actor), by=actor)
                await unit.commit()
            return _shown(user)

    async def end_sessions(self, actor: Actor, email: str) -> int:
        """Sign somebody out everywhere (ASVS 7.4.5); how many sessions there were."""
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, email)
            ended = await self._parts.sessions.end_all(unit.session, user.id)
            await self._parts.events.changed(unit.session, user, "user.sessions_ended", _origin(actor), by=actor)
            await unit.commit()
            return ended

    async def _found(self, unit: UnitOfWork, email: str) -> UserRow:
        user = await repository.user_by_email(unit.session, addresses.clean(email), for_update=True)
        if user is None:
            raise DomainError(Code.NOT_FOUND, f"There is no account with the address {email}.")
        return user


def _origin(actor: Actor) -> Origin:
    return Origin(client_ip=actor.client_ip, request_id=actor.request_id)


def _shown(user: UserRow) -> User:
    status = "invited" if user.verified_at is None else "active"
    if user.disabled_at is not None:
        status = "disabled"
    return User(
        id=user.id,
        email=user.email,
        name=user.name,
        is_operator=user.is_operator,
        status=status,
        created_at=user.created_at,
    )
