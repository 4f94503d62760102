"""A server with people in it, and devices that want to sign in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from sqlalchemy import delete, select, update
from tests.support.installation import HOME, Installation, installed

from aitbc.schemas.device import CLIENT_ID, GRANT_TYPE
from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import US_PER_S, from_ms, to_ms
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.outside_fences import OutsideFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.device.codes import Codes
from aitbc_server.device.consent import DeviceConsents
from aitbc_server.device.model import DeviceGrantRow
from aitbc_server.ids import new_id
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.users.accounts import Accounts
from aitbc_server.users.events import Origin
from aitbc_server.users.model import MembershipRow, UserRow
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import Sessions, SignedIn

BROWSER = Origin(client_ip="192.0.2.9", request_id="req_1")
AUTHORIZE, TOKEN = "/oauth/device_authorization", "/oauth/token"


async def _it_runs() -> bool:
    """The server."""
    return True


class House:
    """One installation. ``client`` is a device; people act by the service that their page calls."""

    def __init__(self, installation: Installation, client: httpx2.AsyncClient) -> None:
        self.installation = installation
        self.client = client
        self.units = UnitsOfWork(installation.database, LocalFences(lambda _: None), installation.clock)
        self.sessions = Sessions(self.units)
        audit = AuditLog(installation.secret_keys, installation.clock)
        self.consents = DeviceConsents(self.units, Codes(installation.secret_keys), audit)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.installation.clock.now_us += int(seconds * US_PER_S)

    async def person(self, name: str = "ada", **roles: Role) -> SignedIn:
        """Somebody who is signed in, with these roles; without any: the owner of HOME."""
        at = self.installation.clock.timestamp()
        user_id = new_id("usr")
        async with self.units.begin() as unit:
            unit.session.add(UserRow(id=user_id, email=f"{name}@example.com", name=name, verified_at=at, created_at=at))
            await unit.session.flush()
            for tenant, role in (roles or {HOME: Role.OWNER}).items():
                unit.session.add(MembershipRow(tenant_id=tenant, user_id=user_id, role=role, created_at=at))
            await unit.commit()
        return await self.session_of(user_id)

    async def session_of(self, user_id: str) -> SignedIn:
        """Another browser of the same person."""
        async with self.units.begin() as unit:
            token = await self.sessions.start(unit.session, user_id, client_ip="192.0.2.9", user_agent="test")
            await unit.commit()
        signed_in = await self.sessions.resume(token)
        assert signed_in is not None
        return signed_in

    def accounts(self) -> Accounts:
        """The services of accounts in a process beside the server, as the operator's commands have them."""
        installation = self.installation
        units = UnitsOfWork(installation.database, OutsideFences(installation.database, _it_runs), installation.clock)
        audit, mailbox = (
            AuditLog(installation.secret_keys, installation.clock),
            Mailbox(installation.secret_keys, installation.clock, works=False),
        )
        return Accounts(installation.settings, units, installation.secret_keys, audit, mailbox)

    async def begin(self, **form: str) -> Any:
        """A device asks to sign in."""
        answer = await self.client.post(AUTHORIZE, data={"client_id": CLIENT_ID, **form})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def poll(self, begun: Mapping[str, Any]) -> httpx2.Response:
        """The device asks for its key."""
        return await self.client.post(
            TOKEN, data={"grant_type": GRANT_TYPE, "client_id": CLIENT_ID, "device_code": begun["device_code"]}
        )

    async def polled(self, begun: Mapping[str, Any]) -> tuple[int, str | None]:
        """The status and the error of a poll that comes in time."""
        answer = await self.poll(begun)
        return answer.status_code, answer.json().get("error")

    async def approve(
        self,
        signed_in: SignedIn,
        begun: Mapping[str, Any],
        *,
        tenant: str = HOME,
        preset: Preset = Preset.MANAGER,
        environment: Environment = Environment.LIVE,
    ) -> str:
        """The person enters the code and approves; the id of the sign-in."""
        grant_id = await self.consents.enter(signed_in, begun["user_code"], BROWSER)
        await self.consents.approve(
            signed_in, grant_id, tenant_id=tenant, environment=environment, preset=preset, origin=BROWSER
        )
        return grant_id

    async def keys(self) -> list[ApiKeyRow]:
        """Every key that was made for a device."""
        async with self.units.read() as session:
            rows = await session.scalars(select(ApiKeyRow).where(ApiKeyRow.created_by.like("usr_%")))
            return list(rows)

    async def grants(self) -> list[DeviceGrantRow]:
        """Every sign-in."""
        async with self.units.read() as session:
            return list(await session.scalars(select(DeviceGrantRow)))

    async def change(self, table: Any, **values: Any) -> None:
        """Set these columns in every row of a table."""
        async with self.units.begin() as unit:
            await unit.session.execute(update(table).values(values))
            await unit.commit()

    async def empty(self, table: Any) -> None:
        """Delete every row of a table."""
        async with self.units.begin() as unit:
            await unit.session.execute(delete(table))
            await unit.commit()

    def after(self, span: timedelta) -> Any:
        """A time from now."""
        return from_ms(to_ms(self.installation.clock.timestamp() + span))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A started server that keeps its mails."""
    async with installed(tmp_path) as installation:
        installation.settings = msgspec.structs.replace(installation.settings, dev=True)
        async with installation.client() as client:
            yield House(installation, client)
