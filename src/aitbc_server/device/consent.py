"""The person's side of a sign-in: they enter the code, see who asks for what, and approve or deny it.

A sign-in belongs to the browser session that entered its code first: nobody else sees it or decides. (ASVS 6.6.2)
"""

from __future__ import annotations

import msgspec

from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.device import repository
from aitbc_server.device.approval import PRESETS, person, presets_for
from aitbc_server.device.codes import Codes, read_user_code
from aitbc_server.device.model import DeviceGrantRow, GrantState
from aitbc_server.errors import conflict, invalid, not_found
from aitbc_server.users.events import Origin
from aitbc_server.users.limits import Limits, Rule, client_group
from aitbc_server.users.sessions import Membership, SignedIn

#: How often the right code may be entered.
MAX_TRIES = 5
#: Wrong codes of one person, in whatever session: a code has 34 bits and lives for ten minutes (ASVS 6.6.3).
OF_PERSON = Rule("device_codes_person", 5, 600, "wrong codes")
OF_ADDRESS = Rule("device_codes_address", 20, 600, "wrong codes")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that the device's key may be for, and what it may be allowed there."""

    tenant_id: str
    tenant_name: str
    role: str
    presets: tuple[Preset, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what: everything that a person must know to decide (ASVS 10.7.2).

    ``tenant_id``, ``environment`` and ``preset`` are what was decided, or what is suggested until then.
    """

    id: str
    client_name: str
    client_ip: str | None
    created_at: Timestamp
    expires_at: Timestamp
    state: GrantState
    choices: tuple[Choice, ...]
    tenant_id: str | None
    environment: Environment
    preset: Preset
    key_id: str | None
    expired: bool


class DeviceConsents:
    """What a signed-in person does about sign-ins of devices. Their browser's session is part of who they are.

    ``environment`` is suggested where the device asked for none.
    """

    def __init__(
        self, units: UnitsOfWork, codes: Codes, audit: AuditLog, environment: Environment = Environment.LIVE
    ) -> None:
        self._units = units
        self._codes = codes
        self._audit = audit
        self._environment = environment
        self._limits = Limits(units.clock)

    async def enter(self, signed_in: SignedIn, text: str, origin: Origin) -> str:
        """The id of the sign-in with this code, which belongs to this session from now on.

        Raises ``validation_error`` for a code that is wrong, over, or another session's: the same words for each.
        Raises ``too_many_failures`` after five wrong ones.
        """
        code = read_user_code(text)
        if code is None:
            # No code at all: a slip of the finger tells nothing, and is not counted.
            raise invalid("code", "has eight letters, such as WDJB-MJHT; your terminal shows it")
        tries = self._limits.take([(OF_PERSON, signed_in.user_id), (OF_ADDRESS, client_group(origin.client_ip))])
        async with self._units.begin() as unit:
            grant = await repository.by_user_code(unit.session, self._codes.user_digest(code))
            bound = grant is not None and self._bind(grant, signed_in)
            await unit.commit()
        if grant is None or not bound:
            raise invalid(
                "code", "does not match, or has expired. Run aitbc login again, and enter the code that it shows"
            )
        tries.give_back()
        return grant.id

    async def show(self, signed_in: SignedIn, grant_id: str) -> Request:
        """The sign-in that this session entered the code of. Raises ``not_found`` for all others."""
        async with self._units.read() as session:
            return self._request(signed_in, _own(signed_in, await repository.get(session, grant_id)))

    async def approve(
        self,
        signed_in: SignedIn,
        grant_id: str,
        *,
        tenant_id: str,
        environment: Environment,
        preset: Preset,
        origin: Origin,
    ) -> None:
        """The device may collect a key for this tenant. Raises ``validation_error`` for more than the person may give,
        ``conflict`` where the sign-in is over, ``not_found`` for another session's.
        """
        async with self._units.begin() as unit:
            grant = self._decidable(signed_in, await repository.get(unit.session, grant_id, for_update=True))
            membership = _chosen(signed_in, tenant_id)
            if preset not in presets_for(membership.role, Preset(grant.wanted_preset)):
                raise invalid("preset", "is more than your role allows, or than the device asked for")
            grant.state, grant.decided_at = GrantState.APPROVED, now(self._units.clock)
            grant.tenant_id, grant.environment, grant.preset = tenant_id, environment, preset
            actor = person(
                signed_in.user_id,
                signed_in.email,
                tenant_id,
                membership.role,
                client_ip=origin.client_ip,
                request_id=origin.request_id,
            )
            await self._audit.record(
                unit.session,
                actor,
                "device_sign_in.approved",
                ("device_sign_in", grant.id),
                after={
                    "client_name": grant.client_name,
                    "client_ip": grant.client_ip,
                    "environment": environment,
                    "preset": preset,
                },
            )
            await unit.commit()

    async def deny(self, signed_in: SignedIn, grant_id: str) -> None:
        """The device gets nothing. Raises as ``approve`` does; nothing of it stands in an audit log, as nothing came
        of it in any tenant.
        """
        async with self._units.begin() as unit:
            grant = self._decidable(signed_in, await repository.get(unit.session, grant_id, for_update=True))
            grant.state, grant.decided_at = GrantState.DENIED, now(self._units.clock)
            await unit.commit()

    def _is_open(self, grant: DeviceGrantRow) -> bool:
        return now(self._units.clock) < grant.expires_at

    def _bind(self, grant: DeviceGrantRow, signed_in: SignedIn) -> bool:
        """Whether the sign-in is this session's now. One whose code is entered again and again ends: it is passed
        around.
        """
        grant.tries += 1
        if grant.tries > MAX_TRIES and grant.state == GrantState.PENDING:
            grant.state = GrantState.DENIED
        is_free = grant.session_id in {None, signed_in.session_id}
        if not is_free or grant.state != GrantState.PENDING or not self._is_open(grant):
            return False
        grant.session_id, grant.user_id = signed_in.session_id, signed_in.user_id
        return True

    def _decidable(self, signed_in: SignedIn, found: DeviceGrantRow | None) -> DeviceGrantRow:
        grant = _own(signed_in, found)
        if grant.state != GrantState.PENDING:
            raise conflict("This sign-in was decided already.")
        if not self._is_open(grant):
            raise conflict("This sign-in has expired. Run aitbc login again.")
        return grant

    def _request(self, signed_in: SignedIn, grant: DeviceGrantRow) -> Request:
        wanted = Preset(grant.wanted_preset)
        choices = tuple(
            Choice(
                tenant_id=each.tenant_id,
                tenant_name=each.tenant_name,
                role=each.role,
                presets=tuple(presets_for(each.role, wanted)),
            )
            for each in signed_in.memberships
            if not each.suspended
        )
        suggested = grant.tenant_id if any(each.tenant_id == grant.tenant_id for each in choices) else None
        tenant_id = suggested or signed_in.tenant_id
        [allowed] = [each.presets for each in choices if each.tenant_id == tenant_id] or [()]
        decided = None if grant.preset is None else Preset(grant.preset)
        return Request(
            id=grant.id,
            client_name=grant.client_name,
            client_ip=grant.client_ip,
            created_at=grant.created_at,
            expires_at=grant.expires_at,
            state=GrantState(grant.state),
            choices=choices,
            tenant_id=tenant_id,
            environment=Environment(grant.environment or self._environment),
            preset=decided or (allowed[0] if allowed else PRESETS[1]),
            key_id=grant.key_id,
            expired=not self._is_open(grant),
        )


def _own(signed_in: SignedIn, grant: DeviceGrantRow | None) -> DeviceGrantRow:
    if grant is None or grant.session_id != signed_in.session_id:
        raise not_found()
    return grant


def _chosen(signed_in: SignedIn, tenant_id: str) -> Membership:
    for membership in signed_in.memberships:
        if membership.tenant_id == tenant_id and not membership.suspended:
            return membership
    raise invalid("tenant", "is none of yours")
