"""The device's side of a sign-in: it asks, polls, and collects its key once a person has approved."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import NamedTuple

import msgspec

from aitbc.schemas.api_keys import ApiKey, CreateApiKey
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset
from aitbc_server.actor import Actor
from aitbc_server.api_keys import creation
from aitbc_server.api_keys.credentials import issuing
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.service import SecretListener
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.device import repository
from aitbc_server.device.approval import approver, scopes_of
from aitbc_server.device.codes import MAX_DEVICE_CODE_LENGTH, Codes, new_device_code, new_user_code
from aitbc_server.device.errors import OAuthCode, OAuthError
from aitbc_server.device.model import DeviceGrantRow, GrantState
from aitbc_server.errors import DomainError
from aitbc_server.ids import new_id
from aitbc_server.mail.message import time_in_words
from aitbc_server.mail.messages import Kind
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.periodic import repeating
from aitbc_server.users.limits import Limits, Rule, client_group

LIFETIME = timedelta(minutes=10)
KEY_LIFETIME = timedelta(days=90)
#: How long a device waits between two questions, and how much longer each time that it does not (RFC 8628, 3.5).
INTERVAL_S = 5
SLOWER_BY_S = 5
# Clocks and networks are not exact: who is early by this much is on time.
_EARLY = timedelta(seconds=1)
_MAX_INTERVAL_S = 60

#: From one address. An office behind one address may well poll for several people at once.
SIGN_INS = Rule("device_sign_ins", 10, 60, "sign-ins")
POLLS = Rule("device_polls", 120, 60, "questions")

_KEPT_FOR = timedelta(days=1)
_PURGE_INTERVAL_S = 600.0
_ADDRESS_LENGTH = 45


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a device asks for. The person who approves may give less, and for another tenant."""

    client_name: str
    preset: Preset
    tenant_id: str | None = None
    environment: Environment | None = None


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that waits for a person, who enters ``user_code`` on ``page``; times in seconds."""

    device_code: str
    user_code: str
    page: str
    expires_in: int
    interval: int


class Collected(NamedTuple):
    """A key that was made: its whole text, which nobody keeps, and the rest."""

    text: str
    key: ApiKey


class DeviceSignIns:
    """Begins sign-ins and hands out keys. Raises OAuthError, and ``unavailable`` where the database is away."""

    def __init__(
        self,
        units: UnitsOfWork,
        codes: Codes,
        digests: SecretDigests,
        audit: AuditLog,
        mailbox: Mailbox,
        *,
        site_url: str,
        on_new_secret: SecretListener,
        max_keys: int,
    ) -> None:
        self._site_url = site_url
        self._units = units
        self._codes = codes
        self._digests = digests
        self._audit = audit
        self._mailbox = mailbox
        self._on_new_secret = on_new_secret
        self._max_keys = max_keys
        self._limits = Limits(units.clock)

    async def begin(self, wanted: Wanted, client_ip: str | None) -> Begun:
        """Two fresh codes, good for ten minutes."""
        self._take(SIGN_INS, client_ip)
        device_code, user_code, at = new_device_code(), new_user_code(), self._now()
        async with self._units.begin() as unit:
            unit.session.add(
                DeviceGrantRow(
                    id=new_id("dev"),
                    device_digest=self._codes.device_digest(device_code),
                    user_code_digest=self._codes.user_digest(user_code),
                    client_name=wanted.client_name,
                    client_ip=None if client_ip is None else client_ip[:_ADDRESS_LENGTH],
                    wanted_preset=wanted.preset,
                    tenant_id=wanted.tenant_id,
                    environment=wanted.environment,
                    created_at=at,
                    expires_at=_after(at, LIFETIME),
                    poll_interval_s=INTERVAL_S,
                    state=GrantState.PENDING,
                )
            )
            await unit.commit()
        return Begun(
            device_code=device_code,
            user_code=user_code,
            page=f"{self._site_url}/device",
            expires_in=int(LIFETIME.total_seconds()),
            interval=INTERVAL_S,
        )

    async def collect(self, device_code: str, *, client_ip: str | None, request_id: str | None) -> Collected:
        """The key, made now and handed out this once, if a person has approved.

        Whoever approved must still be signed in, and still have the role that it took. Two that collect at once get
        one key: the sign-in is held while it is made (ASVS 2.3.4, 15.4.2).
        """
        self._take(POLLS, client_ip)
        if not 0 < len(device_code) <= MAX_DEVICE_CODE_LENGTH:
            raise _unknown()
        async with self._units.begin() as unit:
            grant = await repository.by_device_code(unit.session, self._codes.device_digest(device_code))
            error = self._not_yet(grant)
            if error is not None:
                # How often it asked is remembered though it gets nothing.
                await unit.commit()
                raise error
            assert grant is not None
            actor = await approver(unit.session, grant, self._now(), client_ip=client_ip, request_id=request_id)
            if actor is None:
                grant.state = GrantState.DENIED
                await unit.commit()
                raise _denied()
            return await self._hand_out(unit, grant, actor)

    async def purge(self) -> None:
        """Forget sign-ins that are long over."""
        async with self._units.begin() as unit:
            await repository.remove_expired(unit.session, _after(self._now(), -_KEPT_FOR))
            await unit.commit()

    def purging(self) -> AbstractAsyncContextManager[None]:
        """Purge every ten minutes until the block is left."""
        return repeating(self.purge, interval_s=_PURGE_INTERVAL_S, name="forgetting sign-ins of devices")

    def _not_yet(self, grant: DeviceGrantRow | None) -> OAuthError | None:
        """Why there is no key (now); None where there is one to be made."""
        at = self._now()
        if grant is None or grant.state == GrantState.COLLECTED:
            return _unknown()
        if grant.state == GrantState.DENIED:
            return _denied()
        if at >= grant.expires_at:
            return OAuthError(OAuthCode.EXPIRED_TOKEN, "The code has expired. Sign in again.")
        earliest = None if grant.last_polled_at is None else _next_poll(grant.last_polled_at, grant.poll_interval_s)
        grant.last_polled_at = at
        if grant.state == GrantState.APPROVED:
            return None
        if earliest is not None and at < earliest:
            grant.poll_interval_s = min(grant.poll_interval_s + SLOWER_BY_S, _MAX_INTERVAL_S)
            return OAuthError(OAuthCode.SLOW_DOWN, f"Ask every {grant.poll_interval_s} seconds only.")
        return OAuthError(OAuthCode.AUTHORIZATION_PENDING, "Nobody has approved the sign-in yet.")

    async def _hand_out(self, unit: UnitOfWork, grant: DeviceGrantRow, actor: Actor) -> Collected:
        at = self._now()
        try:
            row = creation.new_row(actor, _key_for(grant, actor, at), at)
            row.user_id = grant.user_id
            secret = issuing.issue(row, self._digests, at)
            key = await creation.store(unit, self._audit, actor, row, (), at, max_keys=self._max_keys)
        except DomainError as error:
            # The role, or the tenant, is another than it was when they approved.
            raise OAuthError(OAuthCode.ACCESS_DENIED, error.detail) from error
        grant.state, grant.key_id = GrantState.COLLECTED, key.id
        assert actor.name is not None
        await self._mailbox.put(
            unit.session,
            actor.name,
            Kind.NEW_KEY_BY_DEVICE,
            key_name=key.name,
            key_id=key.id,
            tenant=key.tenant_id,
            environment=key.environment,
            preset=grant.preset,
            expires=_shown(row.expires_at),
            when=_shown(at),
            client_ip=actor.client_ip,
            link=f"{self._site_url}/api-keys/{key.id}",
        )
        await unit.commit()
        self._on_new_secret(secret.encode(), (row.tenant_id, row.environment, row.kid))
        return Collected(secret, key)

    def _take(self, rule: Rule, client_ip: str | None) -> None:
        try:
            self._limits.take([(rule, client_group(client_ip))])
        except DomainError as error:
            raise OAuthError(
                OAuthCode.SLOW_DOWN, error.detail, status=429, retry_after_s=int(error.headers["retry-after"])
            ) from error

    def _now(self) -> Timestamp:
        return now(self._units.clock)


def _key_for(grant: DeviceGrantRow, person: Actor, at: Timestamp) -> CreateApiKey:
    preset = Preset(grant.preset or "")
    scopes = scopes_of(preset, person)
    is_whole = scopes == PRESET_SCOPES[preset]
    return CreateApiKey(
        name=grant.client_name,
        environment=Environment(grant.environment or ""),
        preset=preset if is_whole else None,
        scopes=None if is_whole else sorted(scopes),
        expires_at=_after(at, KEY_LIFETIME),
        metadata={"made_by": "aitbc login"},
    )


def _next_poll(last: Timestamp, interval_s: int) -> Timestamp:
    return _after(last, timedelta(seconds=interval_s) - _EARLY)


def _unknown() -> OAuthError:
    return OAuthError(OAuthCode.INVALID_GRANT, "There is no such sign-in, or its key was collected already.")


def _denied() -> OAuthError:
    return OAuthError(OAuthCode.ACCESS_DENIED, "The sign-in was denied.")


def _after(at: Timestamp, span: timedelta) -> Timestamp:
    return from_ms(to_ms(at + span))


def _shown(moment: Timestamp | None) -> str:
    return "never" if moment is None else time_in_words(moment)
