"""The operators' pages: requests decided, tenants suspended, and nobody else let in."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select
from tests.dashboard.conftest import People
from tests.support.browser import Browser
from tests.support.installation import HOME, SUSPENDED, Installation
from tests.support.people import add_person, sign_in

from aitbc_server.audit.model import AuditEventRow
from aitbc_server.clock import from_ms
from aitbc_server.tenants.model import TenantRow
from aitbc_server.tenants.service import OPERATOR_TENANT
from aitbc_server.users.links import Purpose
from aitbc_server.users.model import UserLinkRow, UserRow

HOUR_US = timedelta(hours=1) // timedelta(microseconds=1)


@pytest.fixture
async def operator(installation: Installation, client: httpx2.AsyncClient) -> Browser:
    """The browser of an operator who is in no tenant."""
    user_id = await add_person(installation, "operator", is_operator=True)
    return await sign_in(installation, Browser(client), user_id)


async def actions(installation: Installation, tenant_id: str) -> list[tuple[str, str, str | None]]:
    """What the tenant's audit log says: action, kind and name of who did it."""
    async with installation.database.read() as session:
        rows = await session.scalars(
            select(AuditEventRow).where(AuditEventRow.tenant_id == tenant_id).order_by(AuditEventRow.sequence)
        )
        return [(row.action, row.actor_type, row.actor_name) for row in rows]


async def asked_for(people: People, plan: str) -> None:
    """acme's owner asks for a plan."""
    owner = await people("owner")
    await owner.submit(await owner.get("/plan"), "/plan/requests", plan_id=plan, note="Please.")


async def request_path(operator: Browser) -> str:
    """Where the open request is decided."""
    [path] = [link for link in (await operator.get("/admin")).links if link.startswith("/admin/plan-requests/")]
    return path


PATHS = ["/admin", "/admin/plan-requests/prq_1", f"/admin/tenants/{HOME}", f"/admin/tenants/{HOME}/suspend"]
POSTS = [
    "/admin/plan-requests/prq_1",
    f"/admin/tenants/{HOME}/plan",
    f"/admin/tenants/{HOME}/suspend",
    f"/admin/tenants/{HOME}/resume",
]


@pytest.mark.parametrize("name", ["owner", "admin", "developer", "viewer", "stranger", "nobody"])
async def test_who_is_no_operator_finds_nothing(people: People, name: str) -> None:
    """ASVS 8.2.1: not even that there is something."""
    browser = await people(name)
    token = dict((await browser.get("/settings")).forms[-1].fields)["csrf"]
    for path in PATHS:
        assert (await browser.get(path)).status == 404, path
    for path in POSTS:
        assert (await browser.post(path, {"csrf": token, "plan": "free", "decision": "approve"})).status == 404, path
    assert "/admin" not in (await browser.get("/settings")).links


async def test_the_first_page_has_everything_that_waits(people: People, operator: Browser) -> None:
    """Open requests, tenants with plan, status and keys, people; found by a part of their name."""
    await asked_for(people, "pro")
    page = await operator.get("/admin")
    assert "acme Enterprise Pro owner@example.com just now" in page.text
    assert "closed closed Enterprise Suspended 0 0" in page.text
    assert "operator@example.com Operator Active Operator" in page.text
    found = await operator.get("/admin?q=GLOB")
    assert "globex" in found.text
    assert "stranger@example.com" not in found.text
    assert "No person has “GLOB”" in found.text
    assert "No tenant has “%”" in (await operator.get("/admin?q=%25")).text


async def test_an_approved_request_is_in_effect_at_once(
    people: People, operator: Browser, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """The tenant's next call has the new limit; who asked sees the answer, and the audit log says who decided."""
    key = await installation.add_key(HOME)
    assert (await client.get("/v1/api-keys", headers=dict(key.headers))).headers["x-ratelimit-limit"] == "1000000"
    await asked_for(people, "free")
    path = await request_path(operator)
    page = await operator.get(path)
    assert "acme asks for Free" in page.text
    assert "Please." in page.text
    done = await operator.follow(await operator.submit(page, path, decision="approve", answer="As you wish."))
    assert "acme is on the plan Free now." in done.text
    assert "Nothing waits for you." in done.text
    assert "acme Free Approved owner@example.com" in done.text
    assert "by operator@example.com As you wish." in done.text
    assert (await client.get("/v1/api-keys", headers=dict(key.headers))).headers["x-ratelimit-limit"] == "60"
    page = await (await people("owner")).get("/plan")
    assert "Free Your plan" in page.text
    assert "As you wish." in page.text
    assert (await actions(installation, HOME))[-2:] == [
        ("tenant.plan_changed", "operator", "operator@example.com"),
        ("plan_request.approved", "operator", "operator@example.com"),
    ]


async def test_a_refused_request_changes_nothing(people: People, operator: Browser, installation: Installation) -> None:
    """And is decided once."""
    await asked_for(people, "free")
    path = await request_path(operator)
    page = await operator.get(path)
    await operator.submit(page, path, decision="refuse", answer="Not yet.")
    late = await operator.submit(page, path, decision="approve", answer="")
    assert late.status == 409
    assert "This request was refused already." in late.text
    assert "This request was refused by operator@example.com just now" in (await operator.get(path)).text
    plan = await (await people("owner")).get("/plan")
    assert "Enterprise Your plan" in plan.text
    assert "Not yet." in plan.text
    assert [action for action, *_ in await actions(installation, HOME)] == [
        "plan_request.created",
        "plan_request.refused",
    ]


async def test_a_decision_is_never_a_slip(people: People, operator: Browser) -> None:
    """A form without a button's word approves nothing, and what is too long is said beside the field."""
    await asked_for(people, "free")
    path = await request_path(operator)
    page = await operator.get(path)
    again = await operator.submit(page, path, decision="approve", answer="x" * 1001)
    assert again.status == 422
    assert "The answer must have at most 1000 characters." in again.text
    assert (await operator.submit(page, path, decision=None)).status == 422
    assert "acme asks for Free" in (await operator.get(path)).text


async def test_a_tenant_is_suspended_and_resumed(
    people: People, operator: Browser, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Its keys are refused with the next call, and work again with the one after; its members can change nothing."""
    key = await installation.add_key(HOME)
    owner = await people("owner")
    earlier = await owner.get("/plan")
    path = f"/admin/tenants/{HOME}"
    page = await operator.get(path)
    assert "viewer@example.com Viewer Viewer Active" in page.text
    assert f"{path}/suspend" not in [form.action for form in page.forms], "not by one click"
    question = await operator.get(f"{path}/suspend")
    assert "Suspend “acme”?" in question.text
    done = await operator.follow(await operator.submit(question, f"{path}/suspend"))
    assert "acme is suspended." in done.text
    assert (await operator.get(f"{path}/suspend")).answer.headers["location"] == path
    answer = await client.get("/v1/api-keys", headers=dict(key.headers))
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    assert not [form for form in (await owner.get("/plan")).forms if form.action.startswith("/plan")]
    refused = await owner.submit(earlier, "/plan/requests", plan_id="pro")
    assert refused.status == 403
    await operator.submit(done, f"{path}/resume")
    assert (await client.get("/v1/api-keys", headers=dict(key.headers))).status_code == 200
    assert [action for action, *_ in await actions(installation, HOME)] == ["tenant.suspended", "tenant.resumed"]
    assert "/resume" in " ".join(form.action for form in (await operator.get(f"/admin/tenants/{SUSPENDED}")).forms)


async def test_before_a_suspension_the_keys_in_use_are_told(operator: Browser, installation: Installation) -> None:
    """How many work, how many of them were used within a day, and when one was last: other people's programs stop."""
    now = installation.clock.timestamp()
    await installation.add_key(HOME, last_used_at=now - timedelta(minutes=5))
    await installation.add_key(HOME, last_used_at=now - timedelta(days=2))
    await installation.add_key(HOME)
    await installation.add_key(HOME, enabled=False, last_used_at=now)
    await installation.add_key(HOME, revoked_at=now, last_used_at=now)
    await installation.add_key(HOME, expires_at=now, last_used_at=now)
    page = await operator.get(f"/admin/tenants/{HOME}/suspend")
    assert "API keys that work 3, 1 of them used in the last 24 hours Last used 5 minutes ago" in page.text
    await operator.submit(await operator.get(f"/admin/tenants/{SUSPENDED}"), f"/admin/tenants/{SUSPENDED}/resume")
    nothing = await operator.get(f"/admin/tenants/{SUSPENDED}/suspend")
    assert "API keys that work 0 Last used Never Members Nobody" in nothing.text


async def test_the_operators_own_tenant_goes_on(operator: Browser, installation: Installation) -> None:
    """There is no button to suspend it, and a form that was made by hand changes nothing."""
    async with installation.database.write() as session:
        session.add(TenantRow(id=OPERATOR_TENANT, name="Operators", plan_id="enterprise", created_at=from_ms(0)))
        await session.commit()
    path = f"/admin/tenants/{OPERATOR_TENANT}"
    page = await operator.get(path)
    assert f"{path}/suspend" not in page.links
    assert (await operator.get(f"{path}/suspend")).answer.headers["location"] == path
    refused = await operator.post(f"{path}/suspend", page.form(f"{path}/plan").fields)
    assert (refused.status, "cannot be suspended" in refused.text) == (409, True)
    assert "Active" in (await operator.get(path)).text


async def test_people_who_have_not_begun_yet(operator: Browser, installation: Installation) -> None:
    """Who signed up and did not follow their link is no guest of an operator's."""
    at = installation.clock.timestamp()
    async with installation.database.write() as session:
        for name in ("guest", "newcomer"):
            session.add(UserRow(id=f"usr_{name}", email=f"{name}@example.com", name=name, created_at=at))
        await session.flush()
        link = {"user_id": "usr_guest", "purpose": Purpose.SET_UP, "email": "guest@example.com"}
        # Still good: one that is over is deleted as soon as the server looks.
        expires_at = at + timedelta(hours=1)
        session.add(UserLinkRow(digest=b"d" * 32, created_at=at, expires_at=expires_at, **link))
        await session.commit()
    page = await operator.get("/admin")
    assert "guest@example.com guest Invited" in page.text
    assert "newcomer@example.com newcomer Not confirmed yet" in page.text


async def test_a_plan_is_set_at_once(operator: Browser, installation: Installation, client: httpx2.AsyncClient) -> None:
    """Without a request too; a plan that is none is said so."""
    key = await installation.add_key(HOME)
    path = f"/admin/tenants/{HOME}"
    page = await operator.get(path)
    wrong = await operator.submit(page, f"{path}/plan", plan="gold")
    assert wrong.status == 422
    assert "There is no plan gold" in wrong.text
    done = await operator.follow(await operator.submit(page, f"{path}/plan", plan="pro"))
    assert "acme is on the plan Pro now." in done.text
    assert (await client.get("/v1/api-keys", headers=dict(key.headers))).headers["x-ratelimit-limit"] == "600"


async def test_what_is_not_there_is_not_found(operator: Browser) -> None:
    """Requests and tenants alike."""
    token = dict((await operator.get(f"/admin/tenants/{HOME}")).forms[-1].fields)["csrf"]
    for path in ("/admin/tenants/nowhere", "/admin/tenants/nowhere/suspend", "/admin/plan-requests/prq_none"):
        assert (await operator.get(path)).status == 404
    for path in ("/admin/tenants/nowhere/suspend", "/admin/tenants/nowhere/resume", "/admin/plan-requests/prq_none"):
        assert (await operator.post(path, {"csrf": token, "decision": "approve"})).status == 404, path


async def test_changes_ask_for_the_password_again(operator: Browser, installation: Installation) -> None:
    """ASVS 7.5.1: an hour after the sign-in one may look at the lists, and change nothing."""
    path = f"/admin/tenants/{HOME}"
    page = await operator.get(f"{path}/suspend")
    installation.clock.now_us += HOUR_US
    assert (await operator.get("/admin")).status == 200
    for again in (await operator.get(path), await operator.submit(page, f"{path}/suspend")):
        assert again.status == 303
        assert again.answer.headers["location"].startswith("/confirm?next=")
    assert await actions(installation, HOME) == []
