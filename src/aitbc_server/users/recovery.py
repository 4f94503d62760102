"""A forgotten password, and the first password of an account that an operator made: set by a link, once."""

from __future__ import annotations

from typing import NamedTuple

from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.users import addresses, limits, repository
from aitbc_server.users.events import Origin
from aitbc_server.users.links import Purpose
from aitbc_server.users.model import UserRow
from aitbc_server.users.pace import no_sooner_than
from aitbc_server.users.parts import Entry, Parts

_PURPOSES = (Purpose.RESET_PASSWORD, Purpose.SET_UP)


class Offer(NamedTuple):
    """Whose password a link sets: whoever holds it reads that mailbox. ``is_new``: the account has none yet."""

    email: str
    is_new: bool


class PasswordRecovery:
    """Mails links that set a password, and sets it. Nobody but the owner ever knows or chooses it (ASVS 6.4.6)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def works(self) -> bool:
        """Whether this installation sends mails at all."""
        return self._parts.letters.work

    async def forgot(self, email: str, origin: Origin) -> None:
        """Mail a link if there is such an account. The answer and its time are the same if there is none.

        Raises ``validation_error`` for what is no address, ``too_many_failures``.
        """
        email = addresses.clean(email)
        async with no_sooner_than(self._parts.floor_s):
            self._parts.letters.check_limits(email, origin, of_recipient=limits.RESET_RECIPIENT)
            async with self._parts.units.begin() as unit:
                user = await repository.user_by_email(unit.session, email, for_update=True)
                if user is None or user.disabled_at is not None:
                    self._parts.events.log("a new password was asked for where none can be set", None, origin)
                    return
                token = await self._parts.links.make(unit.session, user.id, Purpose.RESET_PASSWORD, email)
                await self._parts.letters.send_link(unit.session, email, Purpose.RESET_PASSWORD, token)
                await unit.commit()
                self._parts.events.log("a new password was asked for", user.id, origin)

    async def offer(self, token: str) -> Offer:
        """What the link is for. Raises ``not_found`` for one that does not work."""
        async with self._parts.units.read() as session:
            link = await self._parts.links.find(session, token, *_PURPOSES)
        return Offer(link.email, is_new=link.purpose == Purpose.SET_UP)

    async def set_password(self, token: str, password: str, origin: Origin) -> Entry:
        """Set the password and sign in. All sessions of before end, all other links stop working.

        The link proves the mailbox, so that an account that was not finished is. Raises ``not_found``,
        ``validation_error`` on ``password``.
        """
        offer = await self.offer(token)
        await self._parts.rules.check("password", password, email=offer.email)
        password_hash = await self._parts.hashes.hash(password)
        async with self._parts.units.begin() as unit:
            _, user = await self._parts.links.use(unit.session, token, *_PURPOSES)
            await self._set(unit, user, password_hash, origin)
            entry = await self._parts.let_in(unit.session, user, origin)
            await unit.commit()
            return entry

    async def _set(self, unit: UnitOfWork, user: UserRow, password_hash: str, origin: Origin) -> None:
        had_password = user.password_hash is not None
        user.password_hash = password_hash
        user.password_changed_at = now(self._parts.units.clock)
        await repository.delete_links(unit.session, user.id)
        await self._parts.sessions.end_all(unit.session, user.id)
        if user.verified_at is None:
            await self._parts.homes.give(unit, user, origin)
        await self._parts.events.changed(unit.session, user, "user.password_set", origin)
        if had_password:
            await self._parts.letters.tell_password_changed(unit.session, user.email, origin)
