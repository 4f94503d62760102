"""Signing in and out, and giving the password again before something sensitive."""

from __future__ import annotations

from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.users import addresses, repository
from aitbc_server.users.events import Origin
from aitbc_server.users.parts import Entry, Parts
from aitbc_server.users.sessions import SignedIn


class SignIns:
    """Lets people in who know their password.

    There is one answer for everything that is wrong: no such account, one that is not finished or disabled, another
    password (ASVS 6.3.8). The same work is done for each.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def sign_in(self, email: str, password: str, origin: Origin) -> Entry:
        """A new session. Raises ``validation_error``, ``too_many_failures``, ``unavailable``."""
        # What is no address has no account; it takes the same way, and is held up alike.
        email = addresses.known_form(email) or "(no address)"
        async with self._parts.units.read() as session:
            user = await repository.user_by_email(session, email)
        user_id = None if user is None else user.id
        stored = None if user is None else user.password_hash
        verified = await self._parts.checks.check(stored, password, email=email, user_id=user_id, origin=origin)
        if not verified.ok or user_id is None:
            self._parts.events.refused("a sign-in failed", user_id, origin)
            raise _wrong()
        fresh = await self._parts.hashes.hash(password) if verified.outdated else None
        async with self._parts.units.begin() as unit:
            user = await repository.user(unit.session, user_id, for_update=True)
            # Between the look and this, the account may have been disabled, or the password changed.
            if user is None or user.verified_at is None or user.disabled_at or user.password_hash != stored:
                self._parts.events.refused("a sign-in failed: the account is not in use", user_id, origin)
                raise _wrong()
            user.password_hash = fresh or stored
            entry = await self._parts.let_in(unit.session, user, origin)
            await self._parts.events.changed(unit.session, user, "user.signed_in", origin)
            await unit.commit()
            return entry

    async def sign_out(self, signed_in: SignedIn, origin: Origin) -> None:
        """End this session, on the server (ASVS 7.4.1)."""
        async with self._parts.units.begin() as unit:
            await self._parts.sessions.end_this(unit.session, signed_in)
            await unit.commit()
        self._parts.events.log("user.signed_out", signed_in.user_id, origin)

    async def confirm(self, signed_in: SignedIn, password: str, origin: Origin) -> str:
        """The password again: the session's new token (ASVS 7.2.4, 7.5.3).

        Raises ``validation_error`` on ``password``, ``too_many_failures``.
        """
        async with self._parts.units.read() as session:
            user = await repository.user(session, signed_in.user_id)
        stored = None if user is None else user.password_hash
        await self.check_password("password", stored, password, signed_in, origin)
        async with self._parts.units.begin() as unit:
            token = await self._parts.sessions.renew(unit.session, signed_in.user_id, signed_in.session_id)
            await unit.commit()
        self._parts.events.log("user.confirmed", signed_in.user_id, origin)
        return token

    async def check_password(
        self, field: str, stored: str | None, password: str, signed_in: SignedIn, origin: Origin
    ) -> None:
        """Raises ``validation_error`` on ``field`` where it is not the password of the person who is signed in."""
        verified = await self._parts.checks.check(
            stored, password, email=signed_in.email, user_id=signed_in.user_id, origin=origin
        )
        if not verified.ok:
            self._parts.events.refused("a wrong password of somebody signed in", signed_in.user_id, origin)
            raise invalid(field, "is not the right one")


def _wrong() -> DomainError:
    return DomainError(Code.VALIDATION_ERROR, "There is no account with this e-mail address and password.")
