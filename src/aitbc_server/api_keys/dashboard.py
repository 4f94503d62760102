"""The pages that show API keys: the list, and one key with its usage, its limits and what was done to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from markupsafe import Markup

from aitbc.schemas.api_keys import ApiKey, KeyStatus
from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.common import Page as Listed
from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import change_pages, permissions
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.audit.repository import Filters
from aitbc_server.audit.service import AuditReader
from aitbc_server.audit.words import deed, doer
from aitbc_server.dashboard.forms import Form, query_of
from aitbc_server.dashboard.pages import AnyRequest, Page, Pages, for_page
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.usage.choices import Choice
from aitbc_server.usage.panels import UsagePanels
from aitbc_server.users.names import UserNames

LIST = Operation("dashboard.api_keys", Scope.API_KEYS_READ, audience=Audience.PERSON)
SHOW = Operation("dashboard.api_key", Scope.API_KEYS_READ, audience=Audience.PERSON)

#: A secret that is older than this should be regenerated.
OLD = timedelta(days=90)

_ON_A_PAGE = 25
_EVENTS = 20
_MAX_SEARCH = 100


@get("/api-keys", **for_page(LIST))
async def api_keys_page(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    api_keys: NamedDependency[ApiKeyService],
    usage_panels: NamedDependency[UsagePanels],
    user_names: NamedDependency[UserNames],
) -> Page:
    """The tenant's keys of both environments, newest first, with search and filters."""
    query = query_of(request)
    found = await _find(actor, api_keys, query)
    return pages.render(
        request,
        "api_keys/list.html",
        keys=found.items,
        old=OLD,
        creators=await user_names([key.created_by for key in found.items if key.created_by]),
        sparklines=await _sparklines(actor, usage_panels, found.items),
        query=query,
        filtered=any(query.line(name) for name in ("q", "status", "environment")),
        statuses=[(str(each), each.capitalize()) for each in KeyStatus],
        next=None if found.next_cursor is None else _address(query, cursor=found.next_cursor),
        first=_address(query) if query.has("cursor") else None,
        may_create=actor.may(Scope.API_KEYS_WRITE),
    )


@get("/api-keys/{key_id:str}", **for_page(SHOW))
async def api_key_page(
    request: AnyRequest,
    key_id: FromPath[str],
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    api_keys: NamedDependency[ApiKeyService],
    usage_panels: NamedDependency[UsagePanels],
    audit_log: NamedDependency[AuditReader],
    user_names: NamedDependency[UserNames],
) -> Page:
    """One key: what it is, how it is used, what was done to it, and what may be done."""
    key = await api_keys.get(actor, key_id)
    choice = Choice.of(query_of(request).line)
    # A key is used in its own environment alone: to look there takes half as long as to look in both.
    there = msgspec.structs.replace(actor, environment=key.environment)
    events: list[AuditEvent] = []
    if actor.may(Scope.AUDIT_READ):
        events = (await audit_log.list(actor, Filters(key_id=key.id), limit=_EVENTS)).items
    return pages.render(
        request,
        "api_keys/show.html",
        key=key,
        old=OLD,
        creators=await user_names([key.created_by or ""]),
        may_manage=permissions.may_manage(actor, key.created_by),
        choice=choice,
        pieces=await usage_panels.key(there, key.id, choice) if actor.may(Scope.USAGE_READ) else None,
        events=[_told(event, key) for event in events],
    )


async def _find(actor: Actor, api_keys: ApiKeyService, query: Form) -> Listed[ApiKey]:
    return await api_keys.list(
        actor,
        status=query.choice("status", KeyStatus),
        environment=query.choice("environment", Environment),
        q=query.line("q")[:_MAX_SEARCH] or None,
        limit=_ON_A_PAGE,
        cursor=query.line("cursor") or None,
    )


async def _sparklines(actor: Actor, usage_panels: UsagePanels, keys: Iterable[ApiKey]) -> Mapping[str, Markup]:
    if not actor.may(Scope.USAGE_READ):
        return {}
    return await usage_panels.sparklines(actor, [key.id for key in keys])


def _address(query: Form, **more: str) -> str:
    """The list's address with the same filters."""
    kept = {name: query.line(name) for name in ("q", "status", "environment")} | more
    chosen = {name: value for name, value in kept.items() if value}
    return f"/api-keys?{urlencode(chosen)}" if chosen else "/api-keys"


def _told(event: AuditEvent, key: ApiKey) -> dict[str, Any]:
    return {
        "who": doer(event),
        "deed": deed(event, {key.id: key.name}),
        "time": event.time,
        "client_ip": event.client_ip,
    }


ROUTES = [api_keys_page, api_key_page, *change_pages.ROUTES]
