"""Checking a password that somebody typed, with the limits that keep it from being guessed."""

from __future__ import annotations

from aitbc_server.errors import DomainError
from aitbc_server.users import limits
from aitbc_server.users.browsers import KnownBrowsers
from aitbc_server.users.events import AccountEvents, Origin
from aitbc_server.users.limits import Limits, Subject, client_group
from aitbc_server.users.passwords import PasswordHashes, Verified


class PasswordChecks:
    """Every password that is typed anywhere passes here, so that no page is a way around the limits (ASVS 6.3.4)."""

    def __init__(self, hashes: PasswordHashes, limits: Limits, browsers: KnownBrowsers, events: AccountEvents) -> None:
        self._hashes = hashes
        self._limits = limits
        self._browsers = browsers
        self._events = events

    async def check(
        self, stored: str | None, password: str, *, email: str, user_id: str | None, origin: Origin
    ) -> Verified:
        """Whether it is the password of the account with this address, which need not exist.

        Raises ``too_many_failures``, whether or not there is such an account, and ``unavailable``.
        """
        here = f"{email} {client_group(origin.client_ip)}"
        try:
            tries = self._limits.take(self._guesses(email, here, user_id, origin))
            try:
                self._limits.take([(limits.PASSWORD_COST, here)])
                verified = await self._hashes.verify(stored, password)
            except DomainError:
                tries.give_back()
                raise
        except DomainError as error:
            self._events.refused(f"a password was not checked: {error}", user_id, origin)
            raise
        if verified.ok:
            tries.give_back()
        return verified

    def _guesses(self, email: str, here: str, user_id: str | None, origin: Origin) -> list[Subject]:
        browser = None if user_id is None else self._browsers.recognise(origin.browser, user_id)
        if browser is not None:
            # What strangers do at the same address, or to the same account, keeps no owner out (ASVS 6.1.1). Only who
            # has proven to be the owner has such a browser, and it has a limit of its own.
            return [(limits.PASSWORD_KNOWN_BROWSER, browser)]
        return [
            (limits.PASSWORD_HERE, here),
            (limits.PASSWORD_ADDRESS, client_group(origin.client_ip)),
            (limits.PASSWORD_ACCOUNT, email),
        ]
