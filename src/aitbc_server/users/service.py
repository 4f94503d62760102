"""What people change about their own account. Every change is one unit of work with its audit row."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError

from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import Code, DomainError, Faults, conflict, invalid, not_found
from aitbc_server.names import check_title
from aitbc_server.users import addresses, repository
from aitbc_server.users.closing import Parting, close_tenants, parting
from aitbc_server.users.events import Origin
from aitbc_server.users.links import Purpose
from aitbc_server.users.model import UserLinkRow, UserRow
from aitbc_server.users.pace import no_sooner_than
from aitbc_server.users.parts import Parts
from aitbc_server.users.sessions import SessionView, SignedIn
from aitbc_server.users.sign_in import SignIns


class AccountService:
    """For a person who is signed in. What is sensitive is asked for by a route that wants the password first."""

    def __init__(self, parts: Parts, sign_ins: SignIns) -> None:
        self._parts = parts
        self._sign_ins = sign_ins

    async def rename(self, signed_in: SignedIn, name: str, origin: Origin) -> None:
        """Another name for people to see. Raises ``validation_error`` on ``name``."""
        name = check_title(name)
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, signed_in)
            before, user.name = user.name, name
            if before != name:
                await self._parts.events.changed(
                    unit.session, user, "user.renamed", origin, before={"name": before}, after={"name": name}
                )
                await unit.commit()

    async def change_password(self, signed_in: SignedIn, current: str, new: str, origin: Origin) -> str:
        """A new password, for whoever knows the present one (ASVS 6.2.3): this session's new token; all others end.

        Raises ``validation_error`` on ``current_password`` or ``new_password``, ``too_many_failures``.
        """
        async with self._parts.units.read() as session:
            row = await repository.user(session, signed_in.user_id)
        stored = None if row is None else row.password_hash
        faults = Faults()
        with faults.collected():
            await self._sign_ins.check_password("current_password", stored, current, signed_in, origin)
        with faults.collected():
            await self._parts.rules.check("new_password", new, email=signed_in.email)
        faults.raise_all()
        if new == current:
            raise invalid("new_password", "is the one that you have already")
        fresh = await self._parts.hashes.hash(new)
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, signed_in)
            if user.password_hash != stored:
                raise conflict("Your password was changed elsewhere at this moment. Sign in again.")
            user.password_hash, user.password_changed_at = fresh, now(self._parts.units.clock)
            await repository.delete_links(unit.session, user.id)
            await self._parts.sessions.end_all(unit.session, user.id, but=signed_in.session_id)
            token = await self._parts.sessions.renew(unit.session, user.id, signed_in.session_id)
            await self._parts.events.changed(unit.session, user, "user.password_changed", origin)
            await self._parts.letters.tell_password_changed(unit.session, user.email, origin)
            await unit.commit()
            return token

    async def ask_for_email(self, signed_in: SignedIn, new_email: str, origin: Origin) -> None:
        """Mail a link to another address; the account has it once that is followed.

        Whether somebody else has the address is told to that address alone; the time that it takes tells nothing.
        Raises ``validation_error`` on ``email``, ``too_many_failures``.
        """
        new_email = addresses.clean(new_email)
        if new_email == signed_in.email:
            raise invalid("email", "is the one that your account has")
        async with no_sooner_than(self._parts.floor_s):
            self._parts.letters.check_limits(new_email, origin)
            async with self._parts.units.begin() as unit:
                await self._mail_to(unit, new_email, signed_in)
                await unit.commit()
        self._parts.events.log("another e-mail address was asked for", signed_in.user_id, origin)

    async def _mail_to(self, unit: UnitOfWork, new_email: str, signed_in: SignedIn) -> None:
        other = await repository.user_by_email(unit.session, new_email)
        if other is not None and other.verified_at is not None:
            await self._parts.letters.send_have_account(unit.session, new_email)
            return
        token = await self._parts.links.make(unit.session, signed_in.user_id, Purpose.CHANGE_EMAIL, new_email)
        await self._parts.letters.send_link(unit.session, new_email, Purpose.CHANGE_EMAIL, token)

    async def offered_email(self, signed_in: SignedIn, token: str) -> str:
        """The address that this link gives to the person's account.

        Raises ``not_found`` for one that does not work, ``insufficient_scope`` for one of another account.
        """
        async with self._parts.units.read() as session:
            link = await self._parts.links.find(session, token, Purpose.CHANGE_EMAIL)
            _check_own(signed_in, link)
            return link.email

    async def change_email(self, signed_in: SignedIn, token: str, origin: Origin) -> str:
        """The account has the address that the link was mailed to, from now on. The old one is told (ASVS 6.3.7).

        The link alone is not enough: it proves the mailbox, and the session the account. Raises as ``offered_email``,
        and ``conflict`` where somebody else has the address by now.
        """
        async with self._parts.units.begin() as unit:
            link, user = await self._parts.links.use(unit.session, token, Purpose.CHANGE_EMAIL)
            _check_own(signed_in, link)
            await self._free(unit, link.email)
            before, user.email = user.email, link.email
            try:
                await unit.session.flush()
            except IntegrityError:
                raise _is_taken() from None
            # A link that sets a password must not lie in the mailbox that the account has left.
            await repository.delete_links(unit.session, user.id)
            await self._parts.events.changed(
                unit.session, user, "user.email_changed", origin, before={"email": before}, after={"email": user.email}
            )
            await self._parts.letters.tell_email_changed(unit.session, before, user.email, origin)
            await unit.commit()
            return link.email

    async def sessions(self, signed_in: SignedIn) -> Sequence[SessionView]:
        """The person's sessions, those that were used last first."""
        return await self._parts.sessions.list(signed_in.user_id)

    async def end_session(self, signed_in: SignedIn, session_id: str, origin: Origin) -> None:
        """End one of the person's sessions (ASVS 7.5.2). Raises ``not_found``."""
        await self._parts.sessions.end_one(signed_in.user_id, session_id)
        await self._record(signed_in, "user.session_ended", origin)

    async def end_other_sessions(self, signed_in: SignedIn, origin: Origin) -> int:
        """End all of the person's sessions but this one; how many there were."""
        ended = await self._parts.sessions.end_others(signed_in.user_id, signed_in.session_id)
        await self._record(signed_in, "user.sessions_ended", origin)
        return ended

    async def parting(self, signed_in: SignedIn) -> Parting:
        """What ``delete`` would mean for the person's tenants, and for the server."""
        async with self._parts.units.read() as session:
            return await parting(
                session,
                signed_in.user_id,
                is_operator=signed_in.is_operator,
                keep=self._parts.homes.first_account_owns,
            )

    async def delete(self, signed_in: SignedIn, origin: Origin) -> None:
        """Delete the account with its sessions, for good (ASVS 7.4.2).

        Tenants that nobody else is in are closed: their keys are revoked and the tenant is suspended, its data and its
        audit log stay. Keys that the person got by ``aitbc login`` are revoked everywhere; others that they made in
        tenants of others are those tenants' own. Raises ``conflict`` where others are in a tenant that nobody else
        owns.
        """
        async with self._parts.units.begin() as unit:
            user = await self._found(unit, signed_in)
            await self._parts.events.changed(
                unit.session, user, "user.deleted", origin, before={"email": user.email, "name": user.name}
            )
            actor = await self._parts.events.owner(unit.session, user, origin)
            await close_tenants(
                unit,
                self._parts.audit,
                actor,
                user.id,
                now(self._parts.units.clock),
                keep=self._parts.homes.first_account_owns,
            )
            await self._parts.letters.tell_account_deleted(unit.session, user.email, origin)
            await self._parts.sessions.end_all(unit.session, user.id)
            await repository.delete_user(unit.session, user.id)
            await unit.commit()

    async def _free(self, unit: UnitOfWork, email: str) -> None:
        """Nobody has this address, or only a sign-up that was never finished, which then goes."""
        other = await repository.user_by_email(unit.session, email, for_update=True)
        if other is None:
            return
        if other.verified_at is not None or await repository.memberships(unit.session, other.id):
            raise _is_taken()
        await repository.delete_user(unit.session, other.id)

    async def _record(self, signed_in: SignedIn, action: str, origin: Origin) -> None:
        async with self._parts.units.begin() as unit:
            await self._parts.events.changed(unit.session, await self._found(unit, signed_in), action, origin)
            await unit.commit()

    async def _found(self, unit: UnitOfWork, signed_in: SignedIn) -> UserRow:
        user = await repository.user(unit.session, signed_in.user_id, for_update=True)
        if user is None:
            raise not_found()
        return user


def _check_own(signed_in: SignedIn, link: UserLinkRow) -> None:
    if link.user_id != signed_in.user_id:
        raise DomainError(
            Code.INSUFFICIENT_SCOPE,
            "This link is for another account than the one that you are signed in to. Sign out, open the link again, "
            "and sign in to the account whose address you want to change.",
        )


def _is_taken() -> DomainError:
    return conflict("There is another account with this address by now.")
