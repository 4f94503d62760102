"""The audit log on the wire."""

from __future__ import annotations

from typing import Annotated

from aitbc.schemas.common import JsonObject, Response, Time, known


class AuditActor(Response):
    """Who did it."""

    type: Annotated[str, known(("api_key", "user", "operator", "system"))]
    id: str | None
    name: str | None


class AuditTarget(Response):
    """What it was done to."""

    type: str
    id: str


class AuditEvent(Response):
    """One change. ``before`` and ``after`` hold the fields that changed, never a secret."""

    id: str
    time: Time
    actor: AuditActor
    action: str
    target: AuditTarget
    client_ip: str | None
    request_id: str | None
    before: JsonObject | None
    after: JsonObject | None
