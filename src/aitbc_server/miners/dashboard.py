"""The page of miners: who offers to run jobs, what they can do, and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import get
from litestar.di import NamedDependency

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.dashboard.excerpts import in_a_line
from aitbc_server.dashboard.forms import Form, query_of
from aitbc_server.dashboard.pages import AnyRequest, Page, Pages, for_page
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.miners.records import MinerFilters, MinerStatus
from aitbc_server.miners.service import MinerService
from aitbc_server.usage.activity import UsageActivity

LIST = Operation("dashboard.miners", Scope.MINERS_READ, audience=Audience.PERSON)

_ON_A_PAGE = 25
_FILTERS = ("q", "status", "environment")
_MAX_SEARCH = 100
# What miners say of themselves is theirs: it may be long.
_MAX_CAPABILITIES = 4
_MAX_CHARACTERS = 32
_MAX_LENGTH = 48


class Offer(NamedTuple):
    """What a miner says that it can do: the first of it, a text each, and how much more there is."""

    shown: list[str]
    more: int


@get("/miners", **for_page(LIST))
async def miners_page(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    miners: NamedDependency[MinerService],
    usage_activity: NamedDependency[UsageActivity],
) -> Page:
    """The tenant's miners of both environments, the most recently registered first, with search and filters."""
    query = query_of(request)
    filters = MinerFilters(
        environment=query.choice("environment", Environment),
        status=query.choice("status", MinerStatus),
        q=query.line("q")[:_MAX_SEARCH] or None,
    )
    found = await miners.list_records(actor, filters, limit=_ON_A_PAGE, cursor=query.line("cursor") or None)
    return pages.render(
        request,
        "miners/list.html",
        miners=[(miner, _offer(miner.capabilities)) for miner in found.items],
        key_names=await usage_activity.key_names(actor, [miner.key_id for miner in found.items]),
        statuses=[(str(each), each.capitalize()) for each in MinerStatus],
        query=query,
        filtered=any(query.line(name) for name in _FILTERS),
        next=None if found.next_cursor is None else _address(query, cursor=found.next_cursor),
        first=_address(query) if query.has("cursor") else None,
    )


def _offer(capabilities: Mapping[str, Any]) -> Offer:
    texts = [_text(name, value) for name, value in capabilities.items() if value not in (None, False, "", [], {})]
    return Offer(texts[:_MAX_CAPABILITIES], max(len(texts) - _MAX_CAPABILITIES, 0))


def _text(name: str, value: Any) -> str:
    """``gpu: A100``; a list is its members, and what is simply there is its name."""
    if value is True:
        return in_a_line(name, _MAX_CHARACTERS)
    members = ", ".join(in_a_line(each, _MAX_CHARACTERS) for each in value[:5]) if isinstance(value, list) else value
    return in_a_line(f"{name}: {in_a_line(members, _MAX_CHARACTERS)}", _MAX_LENGTH)


def _address(query: Form, **more: str) -> str:
    """The list's address with the same filters."""
    kept = {name: query.line(name) for name in _FILTERS} | more
    chosen = {name: value for name, value in kept.items() if value}
    return f"/miners?{urlencode(chosen)}" if chosen else "/miners"


ROUTES = [miners_page]
