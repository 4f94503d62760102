"""The pages of the audit log: who changed what, with filters; one event with what was before; all of it as a file."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from markupsafe import Markup

from aitbc.schemas.api_keys import PreviousSecret
from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.common import Page as Listed
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.audit import export
from aitbc_server.audit.repository import Filters
from aitbc_server.audit.service import AuditReader
from aitbc_server.audit.words import ACTIONS, deed, doer, title
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.dashboard import formats
from aitbc_server.dashboard.access import TAKES_ALONG
from aitbc_server.dashboard.downloads import streamed
from aitbc_server.dashboard.excerpts import in_a_line
from aitbc_server.dashboard.forms import Form, messages, query_of
from aitbc_server.dashboard.pages import AnyRequest, Page, Pages, for_page
from aitbc_server.errors import DomainError, Faults, invalid
from aitbc_server.field_words import label
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.json_limits import check_text
from aitbc_server.usage.activity import UsageActivity
from aitbc_server.web.query_times import parse_time
from aitbc_server.web.routing import for_operation

_PERSON = Audience.PERSON

LIST = Operation("dashboard.audit_log", Scope.AUDIT_READ, audience=_PERSON)
SHOW = Operation("dashboard.audit_event", Scope.AUDIT_READ, audience=_PERSON)
# Everything at once asks for the password if it was not given lately: it is what a thief of a session would take.
# (ASVS 7.5.3)
EXPORT = Operation("dashboard.audit_export", Scope.AUDIT_READ, audience=_PERSON, recent=True)
EXPORT_CSV = Operation("dashboard.audit_export_csv", Scope.AUDIT_READ, audience=_PERSON, recent=True)
EXPORT_JSON = Operation("dashboard.audit_export_json", Scope.AUDIT_READ, audience=_PERSON, recent=True)

_ON_A_PAGE = 30
_FILTERS = ("action", "actor", "key_id", "since", "until")
_MAX_TEXT = 200
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ID = re.compile(r"(usr|key)_\w+", re.ASCII)
_MAX_CHANGES = 50
_MAX_VALUE = 200
# As the log has every time (RFC 3339), and what it tells of the older of two secrets.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_SECRET_FIELDS = frozenset(PreviousSecret.__struct_fields__)
_NOTHING, _NEVER = "none", "never"

CallingActor = NamedDependency[Actor]
AllPages = NamedDependency[Pages]
Log = NamedDependency[AuditReader]
SentForm = NamedDependency[Form]
Activity = NamedDependency[UsageActivity]


class Change(NamedTuple):
    """A field of what was changed, as texts or markup; None where there was none."""

    field: str
    before: str | None
    after: str | None


@get("/audit-log", **for_page(LIST))
async def audit_log_page(
    request: AnyRequest, actor: CallingActor, pages: AllPages, audit_log: Log, usage_activity: Activity
) -> Page:
    """What was changed, newest first, in words, with filters."""
    query = query_of(request)
    found, errors = await _find(actor, audit_log, query)
    names = await _key_names(actor, usage_activity, found.items)
    return pages.render(
        request,
        "audit/list.html",
        status_code=422 if errors else 200,
        events=[(event, doer(event), deed(event, names)) for event in found.items],
        actions=_actions(query),
        query=query,
        errors=errors,
        filtered=any(query.line(name) for name in _FILTERS),
        next=None if found.next_cursor is None else _address("/audit-log", query, cursor=found.next_cursor),
        first=_address("/audit-log", query) if query.has("cursor") else None,
        export_address=_address("/audit-log/export", query),
    )


@get("/audit-log/{event_id:str}", **for_page(SHOW))
async def audit_event_page(
    request: AnyRequest,
    event_id: FromPath[str],
    actor: CallingActor,
    pages: AllPages,
    audit_log: Log,
    usage_activity: Activity,
) -> Page:
    """One event: who did it, from where, and what was before and after."""
    event = await audit_log.get(actor, event_id)
    names = await _key_names(actor, usage_activity, [event])
    changes = _changes(event)
    return pages.render(
        request,
        "audit/show.html",
        event=event,
        doer=doer(event),
        deed=deed(event, names),
        title=title(event.action),
        changes=changes[:_MAX_CHANGES],
        more=max(len(changes) - _MAX_CHANGES, 0),
        key_is_ours=event.target.id in names,
        actor_address=f"/audit-log?{urlencode({'actor': event.actor.id})}" if event.actor.id else None,
    )


@get("/audit-log/export", **for_page(EXPORT), sync_to_thread=False)
def export_page(request: AnyRequest, pages: AllPages) -> Page:
    """What is taken along, and as what."""
    query = query_of(request)
    filters = _filters(query)
    return pages.render(
        request,
        "audit/export.html",
        query=query,
        filtered=any(query.line(name) for name in _FILTERS),
        action_title=None if filters.action is None else title(filters.action),
        chosen=[(name, query.line(name)) for name in _FILTERS if query.line(name)],
        back=_address("/audit-log", query),
    )


def _for_export(operation: Operation) -> dict[str, Any]:
    """For a file. It is written down who takes it along: so it is a form, which no link and no other site sends
    (ASVS 3.5.3). Nothing else is changed, and a tenant that is suspended may have its log.
    """
    declared = for_operation(operation)
    return {**declared, "status_code": 200, "opt": {**declared["opt"], TAKES_ALONG: True}}


@post("/audit-log/export.csv", **_for_export(EXPORT_CSV))
async def export_csv(form: SentForm, actor: CallingActor, pages: AllPages, audit_log: Log) -> Stream:
    """The events as CSV."""
    return await _exported(form, actor, pages, audit_log, export.as_csv, "text/csv; header=present")


@post("/audit-log/export.json", **_for_export(EXPORT_JSON))
async def export_json(form: SentForm, actor: CallingActor, pages: AllPages, audit_log: Log) -> Stream:
    """The events as JSON."""
    return await _exported(form, actor, pages, audit_log, export.as_json, "application/json")


async def _exported(
    form: Form,
    actor: Actor,
    pages: Pages,
    audit_log: AuditReader,
    write: Callable[[export.Portions], AsyncIterator[bytes]],
    media_type: str,
) -> Stream:
    filters = _filters(form)
    portions = await _begun(audit_log.portions(actor, filters))
    ending = "json" if write is export.as_json else "csv"
    await audit_log.record_export(actor, filters, ending)
    name = f"audit-log-{actor.tenant_id}-{pages.now():%Y-%m-%d}.{ending}"
    return streamed(write(portions), name, media_type)


async def _begun(portions: export.Portions) -> export.Portions:
    """The same with the first one read already: what is wrong becomes a page, and not half a file."""
    try:
        first = await anext(portions)
    except StopAsyncIteration:
        first = ()

    async def all_of_them() -> export.Portions:
        if first:
            yield first
        async for portion in portions:
            yield portion

    return all_of_them()


async def _find(actor: Actor, audit_log: AuditReader, query: Form) -> tuple[Listed[AuditEvent], Mapping[str, str]]:
    """The events, or what is wrong about the filters."""
    try:
        filters = _filters(query)
    except DomainError as error:
        return Listed[AuditEvent](items=[]), messages(error)
    return await audit_log.list(actor, filters, limit=_ON_A_PAGE, cursor=query.line("cursor") or None), {}


def _filters(query: Form) -> Filters:
    """What was asked for. Who did it is given as an id, or as people call them. Raises ``validation_error``."""
    faults = Faults()
    texts: dict[str, str | None] = dict.fromkeys(("actor", "action", "key_id"))
    for name in texts:
        with faults.collected():
            texts[name] = _text(query, name)
    days: dict[str, Timestamp | None] = dict.fromkeys(("since", "until"))
    for name in days:
        with faults.collected():
            days[name] = _day(query, name)
    faults.raise_all()
    who, (first, last) = texts["actor"], days.values()
    is_id = who is not None and _ID.fullmatch(who) is not None
    if first is not None and last is not None and last < first:
        raise invalid("until", "must not be before the first day")
    return Filters(
        action=texts["action"],
        actor=who if is_id else None,
        actor_name=None if is_id else who,
        key_id=texts["key_id"],
        from_=first,
        # The last day counts as a whole.
        to=None if last is None else from_ms(to_ms(last + timedelta(days=1))),
    )


def _text(query: Form, name: str) -> str | None:
    text = query.line(name)[:_MAX_TEXT]
    check_text(name, text)
    return text or None


def _day(query: Form, name: str) -> Timestamp | None:
    text = query.line(name)
    if not text:
        return None
    if _DAY.fullmatch(text) is None:
        raise invalid(name, "must be a date")
    try:
        return parse_time(name, f"{text}T00:00:00Z")
    except DomainError:
        raise invalid(name, "must be a day that there is, from 1970 on") from None


def _actions(query: Form) -> list[tuple[str, str]]:
    """What there is to choose from; the chosen one too where it is of another release."""
    chosen = query.line("action")
    return [(each, title(each)) for each in sorted({*ACTIONS, *([chosen[:_MAX_TEXT]] if chosen else [])})]


async def _key_names(actor: Actor, usage_activity: UsageActivity, events: Sequence[AuditEvent]) -> Mapping[str, str]:
    """What the keys are called that something was done to."""
    return await usage_activity.key_names(actor, [each.target.id for each in events if each.target.type == "api_key"])


def _changes(event: AuditEvent) -> list[Change]:
    before, after = event.before or {}, event.after or {}
    changes = [Change(field, _value(before, field), _value(after, field)) for field in sorted({*before, *after})]
    if before and after:
        return changes
    # Of something new, or gone, what it does not have is of no interest.
    return [each for each in changes if not {each.before, each.after} <= {None, _NOTHING, _NEVER}]


def _value(state: Mapping[str, Any], field: str) -> str | None:
    return _shown(field, state[field]) if field in state else None


def _shown(field: str, value: Any) -> str:
    """A recorded value as people read it; a time is told as everywhere on the pages."""
    if value is None or value in ([], {}, ""):
        return _NEVER if field.endswith("_at") else _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return formats.time(parse_time(field, value))
    if isinstance(value, dict) and set(value) <= _SECRET_FIELDS:
        told = [Markup("{}: {}").format(label(name), _shown(name, each)) for name, each in value.items()]
        return Markup("; ").join(told)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ", ".join(value)
    return in_a_line(value, _MAX_VALUE)


def _address(path: str, query: Form, **more: str) -> str:
    """A page's address with the same filters."""
    kept = {name: query.line(name) for name in _FILTERS} | more
    chosen = {name: value for name, value in kept.items() if value}
    return f"{path}?{urlencode(chosen)}" if chosen else path


ROUTES = [audit_log_page, audit_event_page, export_page, export_csv, export_json]
