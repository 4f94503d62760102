"""The routes of usage."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from aitbc.schemas.scopes import Scope
from aitbc.schemas.usage import Granularity, GroupBy, Usage
from aitbc_server.actor import Actor
from aitbc_server.clock import now
from aitbc_server.errors import Code
from aitbc_server.gate.operations import Operation
from aitbc_server.usage.service import UsageService
from aitbc_server.usage.span import span
from aitbc_server.web.query_times import TIME_SCHEMA, parse_time
from aitbc_server.web.routing import for_operation

TENANT_USAGE = Operation("usage.get", Scope.USAGE_READ, own_key=True)
KEY_USAGE = Operation("api_keys.usage", Scope.USAGE_READ, own_key=True)

From = Annotated[
    str | None,
    QueryParameter(
        name="from", schema_extra=TIME_SCHEMA, description="The start of the range. Default: 24 h before `to`."
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        name="to", schema_extra=TIME_SCHEMA, description="The end, which is not in the range. Default: now."
    ),
]
Width = Annotated[
    Granularity,
    QueryParameter(
        description="The width of a point; at most 1500 of them in the range. Minutes are kept for 7 days, hours for "
        "90 and days for ever, unless the server is set otherwise; the answer has what is there."
    ),
]
Group = Annotated[GroupBy | None, QueryParameter(description="A series for each of these. Default: one series.")]


@get("/v1/usage", **for_operation(TENANT_USAGE))
async def tenant_usage(
    actor: NamedDependency[Actor],
    usage: NamedDependency[UsageService],
    from_: From = None,
    to: To = None,
    granularity: Width = Granularity.HOUR,
    group_by: Group = None,
) -> Usage:
    """Decisions on the tenant's keys of the caller's environment; a key without `usage:read` sees its own alone."""
    wanted = span(parse_time("from", from_), parse_time("to", to), granularity, now(usage.clock))
    return await usage.of_tenant(actor, wanted, group_by)


@get("/v1/api-keys/{key_id:str}/usage", **for_operation(KEY_USAGE, errors=[Code.NOT_FOUND]))
async def key_usage(
    key_id: FromPath[str],
    actor: NamedDependency[Actor],
    usage: NamedDependency[UsageService],
    from_: From = None,
    to: To = None,
    granularity: Width = Granularity.HOUR,
    group_by: Group = None,
) -> Usage:
    """Decisions on one key; any key may see its own."""
    wanted = span(parse_time("from", from_), parse_time("to", to), granularity, now(usage.clock))
    return await usage.of_key(actor, key_id, wanted, group_by)


ROUTES = [tenant_usage, key_usage]
