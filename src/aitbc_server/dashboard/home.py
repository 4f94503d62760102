"""The first page, and which tenant the others show."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from aitbc_server.dashboard.forms import Form
from aitbc_server.dashboard.navigation import Navigation
from aitbc_server.dashboard.pages import Pages, for_page, signed_in_of
from aitbc_server.dashboard.redirects import SeeOther
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.sessions import Sessions, SignedIn

HOME = Operation("dashboard.home", audience=Audience.EVERYONE)
CHOOSE_TENANT = Operation("dashboard.choose_tenant", audience=Audience.PERSON)


@get("/", **for_page(HOME), sync_to_thread=False)
def home(request: Request[Any, Any, Any], navigation: NamedDependency[Navigation]) -> Response[bytes]:
    """On to the first page that the person may see, or to the sign-in."""
    signed_in = signed_in_of(request)
    raise SeeOther("/sign-in" if signed_in is None else navigation.home(signed_in))


@post("/choose-tenant", **for_page(CHOOSE_TENANT))
async def choose_tenant(
    form: NamedDependency[Form],
    signed_in: NamedDependency[SignedIn],
    sessions: NamedDependency[Sessions],
    pages: NamedDependency[Pages],
) -> Response[bytes]:
    """From now on the pages show this tenant. Raises ``not_found`` for one that the person is not in."""
    await sessions.choose_tenant(signed_in.user_id, signed_in.session_id, form.text("tenant_id"))
    return pages.redirect("/")


ROUTES = [home, choose_tenant]
