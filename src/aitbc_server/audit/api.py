"""The route of the audit log."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.common import Page
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.audit.repository import Filters
from aitbc_server.audit.service import AuditReader
from aitbc_server.gate.operations import Operation
from aitbc_server.pagination import DEFAULT_LIMIT, MAX_LIMIT
from aitbc_server.validation import VISIBLE_PATTERN
from aitbc_server.web.query_times import TIME_SCHEMA, parse_time
from aitbc_server.web.routing import for_operation

LIST = Operation("audit_log.list", Scope.AUDIT_READ)


@get("/v1/audit-log", **for_operation(LIST))
async def list_audit_events(
    actor: NamedDependency[Actor],
    audit_log: NamedDependency[AuditReader],
    action: Annotated[
        str | None, QueryParameter(max_length=64, pattern=VISIBLE_PATTERN, description="Such as `api_key.created`.")
    ] = None,
    actor_id: Annotated[
        str | None,
        QueryParameter(name="actor", max_length=64, pattern=VISIBLE_PATTERN, description="The id of who did it."),
    ] = None,
    key_id: Annotated[
        str | None, QueryParameter(max_length=64, pattern=VISIBLE_PATTERN, description="What was done to this key.")
    ] = None,
    from_: Annotated[
        str | None, QueryParameter(name="from", schema_extra=TIME_SCHEMA, description="From when on.")
    ] = None,
    to: Annotated[
        str | None, QueryParameter(schema_extra=TIME_SCHEMA, description="The end, not in the range.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[AuditEvent]:
    """Who changed what, newest first: in the caller's environment, and in the tenant as a whole."""
    filters = Filters(action, actor_id, key_id, parse_time("from", from_), parse_time("to", to))
    return await audit_log.list(actor, filters, limit=limit, cursor=cursor)


ROUTES = [list_audit_events]
