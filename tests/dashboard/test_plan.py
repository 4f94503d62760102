"""The plan page: plans side by side, and a request for another one."""

from __future__ import annotations

import pytest
from tests.dashboard.conftest import People
from tests.support.installation import HOME, Installation


async def test_the_plans_stand_side_by_side(people: People) -> None:
    """The present one is marked, and each says its limit in requests a minute."""
    page = await (await people("viewer")).get("/plan")
    assert "Free 60 requests a minute Pro 600 requests a minute Enterprise Your plan" in page.text
    assert "An owner or an admin of acme can ask for another plan." in page.text


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_a_change_is_asked_for_and_withdrawn(people: People, role: str) -> None:
    """Who runs the tenant asks; the request is shown as open until it is withdrawn or decided."""
    browser = await people(role)
    page = await browser.get("/plan?wanted=pro")
    assert ("plan_id", "pro") in page.form("/plan/requests").fields
    sent = await browser.submit(page, "/plan/requests", plan_id="pro", note="Less is <enough>.")
    page = await browser.follow(sent)
    assert "Your request is on its way" in page.text
    assert "You asked for the plan Pro" in page.text
    assert "you get a mail" in page.text
    others = await (await people("viewer")).get("/plan")
    assert f"{role}@example.com asked for the plan Pro" in others.text
    assert "they get a mail" in others.text
    assert "Less is <enough>." in page.text
    assert "<enough>" not in page.answer.text
    [withdraw] = [form.action for form in page.forms if form.action.endswith("/withdraw")]
    page = await browser.follow(await browser.submit(page, withdraw))
    assert "Your request is withdrawn." in page.text
    assert "Earlier requests" in page.text
    assert "Withdrawn" in page.text
    assert page.form("/plan/requests")


@pytest.mark.parametrize("role", ["viewer", "developer"])
async def test_who_does_not_run_the_tenant_cannot_ask(people: People, role: str) -> None:
    """Neither is there a form, nor is one taken. ASVS 8.2.1."""
    browser = await people(role)
    page = await browser.get("/plan")
    assert not [form for form in page.forms if form.action.startswith("/plan")]
    csrf = dict(page.forms[-1].fields)["csrf"]
    for path in ("/plan/requests", "/plan/requests/prq_1/withdraw"):
        refused = await browser.post(path, {"csrf": csrf, "plan_id": "pro"})
        assert refused.status == 403, path
        assert f"Your role here is {role}" in refused.text


async def test_a_mistake_is_named_and_nothing_typed_is_lost(people: People) -> None:
    """The page comes again with the message beside the field."""
    browser = await people("owner")
    page = await browser.get("/plan")
    for plan, note, words in (
        ("", "We grow.", "Choose one of the plans."),
        ("enterprise", "We grow.", "The plan is the one that you have."),
        ("pro", "x" * 1001, "What you need it for must have at most 1000 characters."),
    ):
        again = await browser.submit(page, "/plan/requests", plan_id=plan, note=note)
        assert again.status == 422, words
        assert words in again.text
        assert ("note", note) in again.form("/plan/requests").fields
    assert "You asked for" not in (await browser.get("/plan")).text


async def test_a_second_request_waits_for_the_first(people: People) -> None:
    """Also where somebody asks from a page that was loaded before."""
    browser = await people("owner")
    page = await browser.get("/plan")
    await browser.submit(page, "/plan/requests", plan_id="pro")
    second = await browser.submit(page, "/plan/requests", plan_id="free")
    assert second.status == 409
    assert "There is an open request already." in second.text


async def test_a_request_needs_a_form_of_ours(people: People) -> None:
    """ASVS 3.5.1: no token, no request."""
    browser = await people("owner")
    assert (await browser.post("/plan/requests", {"plan_id": "pro"})).status == 400
    assert "You asked for" not in (await browser.get("/plan")).text


async def test_another_tenants_request_is_not_found(people: People) -> None:
    """ASVS 8.2.2."""
    owner, stranger = await people("owner"), await people("stranger")
    await owner.submit(await owner.get("/plan"), "/plan/requests", plan_id="pro")
    [path] = [form.action for form in (await owner.get("/plan")).forms if form.action.endswith("/withdraw")]
    page = await stranger.get("/plan")
    assert "You asked for" not in page.text
    csrf = dict(page.form("/plan/requests").fields)["csrf"]
    assert (await stranger.post(path, {"csrf": csrf})).status == 404
    assert "You asked for the plan Pro" in (await owner.get("/plan")).text


async def test_a_plan_that_operators_made_is_on_the_page(people: People, installation: Installation) -> None:
    """Plans are data."""
    from aitbc_server.tenants.model import PlanRow

    async with installation.database.write() as session:
        session.add(PlanRow(id="tiny", name="Tiny & fine", limit_per_minute=6))
        await session.commit()
    page = await (await people("owner")).get("/plan")
    assert "Tiny & fine 6 requests a minute" in page.text
    assert HOME in page.text
