"""Signing up: an address, a password, and a mailed link that only works for whoever knows that password.

The answer is the same whether or not there is an account with the address: the difference is in the mail, which only
the owner of the mailbox sees (ASVS 6.3.8). An account that somebody begins with another person's address is never
theirs: the link does not reach them, and whom it reaches does not know their password.
"""

from __future__ import annotations

from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import Code, DomainError, Faults, invalid
from aitbc_server.ids import new_id
from aitbc_server.users import addresses, limits, repository
from aitbc_server.users.events import Origin
from aitbc_server.users.limits import client_group
from aitbc_server.users.links import Purpose
from aitbc_server.users.model import UserRow
from aitbc_server.users.pace import no_sooner_than
from aitbc_server.users.parts import Entry, Parts


class SignUps:
    """Begins accounts and finishes them. ``policy`` is ``AITBC_SIGN_UP``."""

    def __init__(self, parts: Parts, policy: str) -> None:
        self._parts = parts
        self._units = parts.units
        self.policy = policy

    def closed(self) -> str | None:
        """Why strangers cannot make an account; None where they can."""
        if self.policy == "closed":
            return "Accounts are made by the operator of this server. Ask them for one."
        if self.policy != "open":
            return "Accounts are made by invitation here. Ask the operator of this server, or somebody you work with."
        if not self._parts.letters.work:
            return "This server sends no mails, so nobody can sign up by themselves. Ask its operator for an account."
        return None

    async def sign_up(self, email: str, password: str, origin: Origin) -> None:
        """Begin an account: a mail is on its way, in any case.

        Raises ``validation_error``, ``too_many_failures``, and ``insufficient_scope`` where strangers are not let in.
        """
        closed = self.closed()
        if closed is not None:
            raise DomainError(Code.INSUFFICIENT_SCOPE, closed)
        faults = Faults()
        with faults.collected():
            email = addresses.clean(email)
        with faults.collected():
            await self._parts.rules.check("password", password, email=email)
        faults.raise_all()
        async with no_sooner_than(self._parts.floor_s):
            self._parts.limits.take([(limits.SIGN_UP_ADDRESS, client_group(origin.client_ip))])
            self._parts.letters.check_limits(email, origin)
            password_hash = await self._parts.hashes.hash(password)
            async with self._units.begin() as unit:
                await self._begin(unit, email, password_hash, origin)
                await unit.commit()

    async def _begin(self, unit: UnitOfWork, email: str, password_hash: str, origin: Origin) -> None:
        user = await repository.user_by_email(unit.session, email)
        if user is None:
            fresh = UserRow(
                id=new_id("usr"),
                email=email,
                name=email.partition("@")[0],
                is_operator=False,
                created_at=now(self._units.clock),
            )
            user = await repository.ensure_user(unit.session, fresh)
        if user.verified_at is not None:
            self._parts.events.log("a sign-up with the address of an account", user.id, origin)
            await self._parts.letters.send_have_account(unit.session, email)
            return
        if user.disabled_at is not None:
            self._parts.events.log("a sign-up with the address of an account that is disabled", user.id, origin)
            return
        self._parts.events.log("a sign-up", user.id, origin)
        token = await self._parts.links.make(
            unit.session, user.id, Purpose.VERIFY_EMAIL, email, password_hash=password_hash
        )
        await self._parts.letters.send_link(unit.session, email, Purpose.VERIFY_EMAIL, token)

    async def offered_email(self, token: str) -> str:
        """The address that a link proves. Raises ``not_found`` for one that does not work."""
        async with self._units.read() as session:
            return (await self._parts.links.find(session, token, Purpose.VERIFY_EMAIL)).email

    async def verify(self, token: str, password: str, origin: Origin) -> Entry:
        """Finish the account and sign in, for whoever has the link and knows the password that it was begun with.

        Raises ``not_found``, ``validation_error``, ``too_many_failures``.
        """
        async with self._units.read() as session:
            link = await self._parts.links.find(session, token, Purpose.VERIFY_EMAIL)
        verified = await self._parts.checks.check(
            link.password_hash, password, email=link.email, user_id=link.user_id, origin=origin
        )
        if not verified.ok:
            self._parts.events.refused("a wrong password for a new account", link.user_id, origin)
            raise invalid("password", "is not the one that you chose when you signed up")
        async with self._units.begin() as unit:
            link, user = await self._parts.links.use(unit.session, token, Purpose.VERIFY_EMAIL)
            user.password_hash = link.password_hash
            user.password_changed_at = now(self._units.clock)
            await self._parts.homes.give(unit, user, origin)
            await repository.delete_links(unit.session, user.id)
            entry = await self._parts.let_in(unit.session, user, origin)
            await unit.commit()
            return entry
