"""The operators' pages: requests for plans, tenants, people. Whoever is no operator finds nothing here."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.dashboard.forms import Form, messages, query_of
from aitbc_server.dashboard.pages import AnyRequest, Pages, for_page
from aitbc_server.errors import DomainError, invalid
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.tenants.directory import SHOWN, Directory
from aitbc_server.tenants.plan_requests import MAX_TEXT_LENGTH, PlanRequest, PlanRequestService
from aitbc_server.tenants.plans import PlanService
from aitbc_server.tenants.service import OPERATOR_TENANT, TenantService
from aitbc_server.users.sessions import SignedIn

Answer = Response[str] | Response[bytes]


def _for_operators(name: str, *, recent: bool = False) -> Operation:
    return Operation(f"admin.{name}", audience=Audience.PERSON, operator=True, recent=recent)


ADMIN = _for_operators("overview")
PLAN_REQUEST = _for_operators("plan_request", recent=True)
DECIDE = _for_operators("decide_plan_request", recent=True)
TENANT = _for_operators("tenant", recent=True)
SET_PLAN = _for_operators("set_plan", recent=True)
SUSPEND_FORM = _for_operators("suspend_tenant_form", recent=True)
SUSPEND = _for_operators("suspend_tenant", recent=True)
RESUME = _for_operators("resume_tenant", recent=True)


@get("/admin", **for_page(ADMIN))
async def admin(
    request: AnyRequest,
    pages: NamedDependency[Pages],
    directory: NamedDependency[Directory],
    plan_requests: NamedDependency[PlanRequestService],
) -> Response[str]:
    """What waits for an operator, and who is here."""
    text = query_of(request).line("q")[:100]
    tenants, more_tenants = await directory.tenants(text)
    people, more_people = await directory.people(text)
    return pages.render(
        request,
        "admin/index.html",
        q=text,
        requests=await plan_requests.waiting(),
        closed=await plan_requests.closed(),
        tenants=tenants,
        more_tenants=more_tenants,
        people=people,
        more_people=more_people,
        shown=SHOWN,
    )


@get("/admin/plan-requests/{request_id:str}", **for_page(PLAN_REQUEST))
async def plan_request(
    request: AnyRequest,
    request_id: FromPath[str],
    pages: NamedDependency[Pages],
    plan_requests: NamedDependency[PlanRequestService],
) -> Response[str]:
    """One request, to be decided."""
    return _request_page(request, pages, await plan_requests.get(request_id))


@post("/admin/plan-requests/{request_id:str}", **for_page(DECIDE))
async def decide(
    request: AnyRequest,
    request_id: FromPath[str],
    form: NamedDependency[Form],
    signed_in: NamedDependency[SignedIn],
    pages: NamedDependency[Pages],
    plan_requests: NamedDependency[PlanRequestService],
) -> Answer:
    """Approve or refuse, as the button says that was pressed."""
    actor, answer, decision = _operator(request, signed_in, ""), form.text("answer"), form.line("decision")
    approves = decision == "approve"
    try:
        if decision not in {"approve", "refuse"}:
            raise invalid("decision", "say whether you approve or refuse")
        if approves:
            decided = await plan_requests.approve(actor, request_id, answer)
        else:
            decided = await plan_requests.refuse(actor, request_id, answer)
    except DomainError as error:
        found = messages(error)
        return _request_page(request, pages, await plan_requests.get(request_id), answer, found)
    words = f"{decided.tenant_name} is on the plan {decided.plan.name} now." if approves else "The request is refused."
    return pages.redirect("/admin", words)


@get("/admin/tenants/{tenant_id:str}", **for_page(TENANT))
async def tenant(
    request: AnyRequest,
    tenant_id: FromPath[str],
    pages: NamedDependency[Pages],
    directory: NamedDependency[Directory],
    plans: NamedDependency[PlanService],
) -> Response[str]:
    """One tenant, and what an operator may do with it."""
    return await _tenant_page(request, tenant_id, pages, directory, plans)


@post("/admin/tenants/{tenant_id:str}/plan", **for_page(SET_PLAN))
async def set_plan(
    request: AnyRequest,
    tenant_id: FromPath[str],
    form: NamedDependency[Form],
    signed_in: NamedDependency[SignedIn],
    pages: NamedDependency[Pages],
    directory: NamedDependency[Directory],
    plans: NamedDependency[PlanService],
    tenants: NamedDependency[TenantService],
) -> Answer:
    """Put the tenant on a plan, from its next request on."""
    try:
        await tenants.set_plan(_operator(request, signed_in, tenant_id), form.line("plan"))
    except DomainError as error:
        return await _tenant_page(request, tenant_id, pages, directory, plans, messages(error))
    entry, _ = await directory.tenant(tenant_id)
    return pages.redirect(f"/admin/tenants/{tenant_id}", f"{entry.name} is on the plan {entry.plan.name} now.")


@get("/admin/tenants/{tenant_id:str}/suspend", **for_page(SUSPEND_FORM))
async def suspend_page(
    request: AnyRequest,
    tenant_id: FromPath[str],
    pages: NamedDependency[Pages],
    directory: NamedDependency[Directory],
) -> Answer:
    """Ask once more: programs of somebody else stop."""
    entry, members = await directory.tenant(tenant_id)
    if entry.suspended or tenant_id == OPERATOR_TENANT:
        return pages.redirect(f"/admin/tenants/{tenant_id}")
    in_use = await directory.keys_in_use(tenant_id)
    return pages.render(request, "admin/suspend.html", entry=entry, members=members, in_use=in_use)


@post("/admin/tenants/{tenant_id:str}/suspend", **for_page(SUSPEND))
async def suspend(
    request: AnyRequest,
    tenant_id: FromPath[str],
    signed_in: NamedDependency[SignedIn],
    pages: NamedDependency[Pages],
    tenants: NamedDependency[TenantService],
) -> Answer:
    """Refuse all of the tenant's keys, from now on."""
    changed = await tenants.suspend(_operator(request, signed_in, tenant_id))
    return pages.redirect(f"/admin/tenants/{tenant_id}", f"{changed.name} is suspended. Its API keys are refused.")


@post("/admin/tenants/{tenant_id:str}/resume", **for_page(RESUME))
async def resume(
    request: AnyRequest,
    tenant_id: FromPath[str],
    signed_in: NamedDependency[SignedIn],
    pages: NamedDependency[Pages],
    tenants: NamedDependency[TenantService],
) -> Answer:
    """Let the tenant's keys work again."""
    changed = await tenants.resume(_operator(request, signed_in, tenant_id))
    return pages.redirect(f"/admin/tenants/{tenant_id}", f"{changed.name} is active again. Its API keys work.")


def _operator(request: AnyRequest, signed_in: SignedIn, tenant_id: str) -> Actor:
    """The operator at work on a tenant, in whose audit log they stand."""
    context: Context = request.scope[CONTEXT]  # type: ignore[literal-required]
    return Actor(
        type="operator",
        id=signed_in.user_id,
        name=signed_in.email,
        tenant_id=tenant_id,
        scopes=frozenset(Scope),
        client_ip=context.client_ip,
        request_id=context.request_id,
    )


def _request_page(
    request: AnyRequest,
    pages: Pages,
    asked: PlanRequest,
    answer: str = "",
    errors: Mapping[str, str] | None = None,
) -> Response[str]:
    return pages.render(
        request,
        "admin/plan_request.html",
        status_code=422 if errors else 200,
        asked=asked,
        answer=answer,
        answer_length=MAX_TEXT_LENGTH,
        errors=errors or {},
    )


async def _tenant_page(
    request: AnyRequest,
    tenant_id: str,
    pages: Pages,
    directory: Directory,
    plans: PlanService,
    errors: Mapping[str, str] | None = None,
) -> Response[str]:
    entry, members = await directory.tenant(tenant_id)
    return pages.render(
        request,
        "admin/tenant.html",
        status_code=422 if errors else 200,
        entry=entry,
        members=members,
        plans=await plans.list(),
        is_operators=tenant_id == OPERATOR_TENANT,
        errors=errors or {},
    )


ROUTES = [admin, plan_request, decide, tenant, set_plan, suspend_page, suspend, resume]
