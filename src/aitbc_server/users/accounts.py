"""Everything about accounts, put together: for the server, and for operators' commands beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.periodic import repeating
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.settings import Settings
from aitbc_server.users import repository
from aitbc_server.users.administration import UserAdministration
from aitbc_server.users.breached_passwords import BreachedPasswords
from aitbc_server.users.browsers import KnownBrowsers
from aitbc_server.users.events import AccountEvents
from aitbc_server.users.homes import Homes
from aitbc_server.users.letters import Letters, Mailbox
from aitbc_server.users.limits import Limits
from aitbc_server.users.links import Links
from aitbc_server.users.pace import FLOOR_S
from aitbc_server.users.parts import Parts
from aitbc_server.users.password_checks import PasswordChecks
from aitbc_server.users.password_rules import PasswordRules
from aitbc_server.users.passwords import PasswordHashes
from aitbc_server.users.recovery import PasswordRecovery
from aitbc_server.users.service import AccountService
from aitbc_server.users.sessions import Sessions
from aitbc_server.users.sign_in import SignIns
from aitbc_server.users.sign_up import SignUps

PURGE_INTERVAL_S = 600.0
#: A sign-up that nobody finished within this time, and whose links have expired, is forgotten.
UNFINISHED = timedelta(hours=24)


class Accounts:
    """The services of accounts.

    ``first_account_owns`` is a tenant that is there already for the first person (see ``homes.py``).
    """

    def __init__(
        self,
        settings: Settings,
        units: UnitsOfWork,
        secret_keys: SecretKeys,
        audit: AuditLog,
        mailbox: Mailbox,
        *,
        first_account_owns: str | None = None,
        hashes: PasswordHashes | None = None,
        floor_s: float = FLOOR_S,
    ) -> None:
        clock = units.clock
        events, limits = AccountEvents(audit), Limits(clock)
        hashes, browsers = hashes or PasswordHashes(secret_keys), KnownBrowsers(secret_keys, clock)
        self.sessions = Sessions(units)
        self._hashes = hashes
        self._units = units
        parts = Parts(
            units=units,
            audit=audit,
            events=events,
            sessions=self.sessions,
            hashes=hashes,
            checks=PasswordChecks(hashes, limits, browsers, events),
            rules=PasswordRules(BreachedPasswords() if settings.breached_password_check else None),
            links=Links(clock),
            letters=Letters(mailbox, limits, clock, settings.site_url),
            limits=limits,
            browsers=browsers,
            homes=Homes(audit, events, clock, first_account_owns),
            floor_s=floor_s,
        )
        self.sign_ups = SignUps(parts, settings.sign_up_policy)
        self.sign_ins = SignIns(parts)
        self.recovery = PasswordRecovery(parts)
        self.own = AccountService(parts, self.sign_ins)
        self.administration = UserAdministration(parts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Forget what is over, every ten minutes, until the block is left."""
        async with (
            self._hashes.running(),
            repeating(self.purge, interval_s=PURGE_INTERVAL_S, name="forgetting sessions and links"),
        ):
            yield

    async def purge(self) -> None:
        """Delete sessions and links that are over, and sign-ups that were never finished."""
        await self.sessions.purge()
        at = now(self._units.clock)
        async with self._units.begin() as unit:
            await repository.delete_links_before(unit.session, at)
            await repository.delete_unverified_before(unit.session, from_ms(to_ms(at - UNFINISHED)))
            await unit.commit()
