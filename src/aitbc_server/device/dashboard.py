"""The page ``/device``: a person enters the code that their terminal shows, sees who asks for what, and decides.

Opening an address changes nothing, also one with a code in it: the code is only filled into the form.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TypeVar

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.forms import Form, messages, query_of
from aitbc_server.dashboard.pages import Pages, for_page
from aitbc_server.device.codes import read_user_code
from aitbc_server.device.consent import DeviceConsents
from aitbc_server.device.model import GrantState
from aitbc_server.device.service import KEY_LIFETIME
from aitbc_server.errors import DomainError, invalid
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.browser import AnyRequest, origin_of
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import SignedIn

ENTER_PAGE = Operation("device.enter_page", audience=Audience.PERSON)
ENTER = Operation("device.enter", audience=Audience.PERSON)
# To hand out a key is as sensitive as to make one: the password was given a moment ago (ASVS 7.5.3).
CONSENT_PAGE = Operation("device.consent_page", audience=Audience.PERSON, recent=True)
APPROVE = Operation("device.approve", audience=Audience.PERSON, recent=True)
DENY = Operation("device.deny", audience=Audience.PERSON)

Consents = NamedDependency[DeviceConsents]
Answer = Response[bytes] | Response[str]
Choice = TypeVar("Choice", Environment, Preset)


@get("/device", **for_page(ENTER_PAGE), sync_to_thread=False)
def enter_page(request: AnyRequest, pages: NamedDependency[Pages]) -> Response[str]:
    """The form for the code."""
    code = read_user_code(query_of(request).line("code")) or ""
    return pages.render(request, "device/enter.html", code=code, errors={})


@post("/device", **for_page(ENTER))
async def enter(
    request: AnyRequest,
    form: NamedDependency[Form],
    signed_in: NamedDependency[SignedIn],
    device_consents: Consents,
    pages: NamedDependency[Pages],
    cookie_jar: NamedDependency[Cookies],
) -> Answer:
    """Look at the sign-in with this code, which is this session's from now on."""
    code = form.line("code")
    try:
        grant_id = await device_consents.enter(signed_in, code, origin_of(request, cookie_jar))
    except DomainError as error:
        return pages.render(request, "device/enter.html", status_code=422, code=code[:20], errors=messages(error))
    return pages.redirect(f"/device/{grant_id}")


@get("/device/{grant_id:str}", **for_page(CONSENT_PAGE))
async def consent_page(
    request: AnyRequest,
    grant_id: FromPath[str],
    signed_in: NamedDependency[SignedIn],
    device_consents: Consents,
    pages: NamedDependency[Pages],
    cookie_jar: NamedDependency[Cookies],
) -> Response[str]:
    """Who asks for what; or what was decided."""
    return await _consent(request, grant_id, signed_in, device_consents, pages, cookie_jar)


@post("/device/{grant_id:str}/approve", **for_page(APPROVE))
async def approve(
    request: AnyRequest,
    grant_id: FromPath[str],
    form: NamedDependency[Form],
    signed_in: NamedDependency[SignedIn],
    device_consents: Consents,
    pages: NamedDependency[Pages],
    cookie_jar: NamedDependency[Cookies],
) -> Answer:
    """Let the device collect a key."""
    try:
        await device_consents.approve(
            signed_in,
            grant_id,
            tenant_id=form.line("tenant"),
            environment=_chosen(form.choice("environment", Environment), "environment"),
            preset=_chosen(form.choice("preset", Preset), "preset"),
            origin=origin_of(request, cookie_jar),
        )
    except DomainError as error:
        errors = messages(error)
        return await _consent(request, grant_id, signed_in, device_consents, pages, cookie_jar, form, errors)
    return pages.redirect(f"/device/{grant_id}")


@post("/device/{grant_id:str}/deny", **for_page(DENY))
async def deny(
    grant_id: FromPath[str],
    signed_in: NamedDependency[SignedIn],
    device_consents: Consents,
    pages: NamedDependency[Pages],
) -> Answer:
    """Let the device have nothing."""
    await device_consents.deny(signed_in, grant_id)
    return pages.redirect(f"/device/{grant_id}")


async def _consent(
    request: AnyRequest,
    grant_id: str,
    signed_in: SignedIn,
    consents: DeviceConsents,
    pages: Pages,
    cookies: Cookies,
    form: Form | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response[str]:
    asked = await consents.show(signed_in, grant_id)
    if asked.state is not GrantState.PENDING or asked.expired:
        return pages.render(request, "device/decided.html", asked=asked, days=KEY_LIFETIME.days)
    able = [each for each in asked.choices if each.presets]
    return pages.render(
        request,
        "device/consent.html",
        status_code=422 if errors else 200,
        asked=asked,
        days=KEY_LIFETIME.days,
        presets=[preset for preset in Preset if any(preset in each.presets for each in able)],
        tenants=[(each.tenant_id, f"{each.tenant_name} (you are {each.role} there)") for each in able],
        keys=_reach({each.role for each in able}),
        only_tenant=able[0].tenant_name if able else None,
        chosen_tenant=asked.tenant_id if form is None else form.line("tenant"),
        chosen_environment=asked.environment if form is None else form.line("environment"),
        chosen_preset=asked.preset if form is None else form.line("preset"),
        from_here=asked.client_ip == origin_of(request, cookies).client_ip,
        errors=errors or {},
    )


def _reach(roles: Set[str]) -> str | None:
    """Whose API keys somebody of these roles manages: all of a tenant's, or their own; None where roles differ."""
    if roles == {Role.DEVELOPER}:
        return "own"
    return "all" if Role.DEVELOPER not in roles else None


def _chosen(value: Choice | None, field: str) -> Choice:
    if value is None:
        raise invalid(field, "must be chosen")
    return value


ROUTES = [enter_page, enter, consent_page, approve, deny]
