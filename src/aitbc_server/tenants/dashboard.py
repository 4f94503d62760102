"""The plan page: what there is, what one has, and a request for another one."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.dashboard.forms import Form, messages, query_of
from aitbc_server.dashboard.pages import AnyRequest, Pages, for_page
from aitbc_server.errors import DomainError
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.tenants import admin_pages
from aitbc_server.tenants.plan_requests import MAX_TEXT_LENGTH, MAY_REQUEST, PlanRequestService, State
from aitbc_server.tenants.plans import PlanService
from aitbc_server.tenants.service import TenantService

PLAN = Operation("dashboard.plan", Scope.USAGE_READ, audience=Audience.PERSON)
REQUEST = Operation("dashboard.request_plan", MAY_REQUEST, audience=Audience.PERSON)
WITHDRAW = Operation("dashboard.withdraw_plan_request", MAY_REQUEST, audience=Audience.PERSON)


@get("/plan", **for_page(PLAN))
async def plan(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    tenants: NamedDependency[TenantService],
    plans: NamedDependency[PlanService],
    plan_requests: NamedDependency[PlanRequestService],
) -> Response[str]:
    """The plans side by side, and the tenant's requests."""
    wanted = Form([("plan_id", query_of(request).line("wanted"))])
    return await _page(request, actor, pages, tenants, plans, plan_requests, wanted)


@post("/plan/requests", **for_page(REQUEST))
async def request_plan(
    request: AnyRequest,
    form: NamedDependency[Form],
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    tenants: NamedDependency[TenantService],
    plans: NamedDependency[PlanService],
    plan_requests: NamedDependency[PlanRequestService],
) -> Response[str] | Response[bytes]:
    """Ask for another plan."""
    try:
        await plan_requests.request(actor, form.line("plan_id"), form.text("note"))
    except DomainError as error:
        found = messages(error)
        return await _page(request, actor, pages, tenants, plans, plan_requests, form, found)
    return pages.redirect("/plan", "Your request is on its way. You get a mail when it is decided.")


@post("/plan/requests/{request_id:str}/withdraw", **for_page(WITHDRAW))
async def withdraw(
    request_id: FromPath[str],
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    plan_requests: NamedDependency[PlanRequestService],
) -> Response[bytes]:
    """Take a request back."""
    await plan_requests.withdraw(actor, request_id)
    return pages.redirect("/plan", "Your request is withdrawn.")


async def _page(
    request: AnyRequest,
    actor: Actor,
    pages: Pages,
    tenants: TenantService,
    plans: PlanService,
    plan_requests: PlanRequestService,
    typed: Form,
    errors: Mapping[str, str] | None = None,
) -> Response[str]:
    requests = await plan_requests.of_tenant(actor)
    return pages.render(
        request,
        "tenants/plan.html",
        status_code=422 if errors else 200,
        present=(await tenants.get(actor.tenant_id)).plan,
        plans=await plans.list(),
        waiting=next((each for each in requests if each.state is State.OPEN), None),
        decided=[each for each in requests if each.state is not State.OPEN],
        wanted=typed.line("plan_id"),
        note=typed.text("note"),
        note_length=MAX_TEXT_LENGTH,
        may_request=actor.may(MAY_REQUEST),
        errors=errors or {},
    )


ROUTES = [plan, request_plan, withdraw, *admin_pages.ROUTES]
