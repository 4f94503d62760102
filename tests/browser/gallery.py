"""An installation in use, and where each of its pages is found: what there is to see, and who sees it.

The pages come from the app's own routes. One that is added is looked at as well; where its address has a part that
nobody here knows, `Gallery.address` says what to add.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.browser.site import PASSWORD, Account, Site
from tests.support.browser import Browser, Page

from aitbc import AITBCClient
from aitbc.exceptions import PermissionDeniedError
from aitbc_server.app import create_app
from aitbc_server.gate.asgi import GateMiddleware
from aitbc_server.gate.operations import Audience, Route
from aitbc_server.settings import Settings

#: Routes that browsers ask for with GET and that are no pages, by their operation.
NO_PAGES = {
    "dashboard.home": "leads on to another page",
    "dashboard.overview_live": "a stream of events",
    "dashboard.api_key_live": "a stream of events",
    "dashboard.job_payload": "a file to save",
    "dashboard.job_result": "a file to save",
    "static": "stylesheets, scripts, pictures",
}

#: Pages that a mailed link opens: the last part is what the mail is asked for with.
_MAILED = ("/verify-email", "/reset-password", "/change-email")

#: Pages that show another object than most pages of its kind.
_OTHERS = {"/jobs/{job_id}/cancel": "queued_job_id"}

#: The longest name that there can be, and nowhere to break it.
LONG_NAME = "W" * 100

WORDS = "To be, or not to be, that is the question"


class Found(NamedTuple):
    """Where a page is, and who looks at it (None: a stranger)."""

    address: str
    account: Account | None


@cache
def page_routes() -> dict[str, Route]:
    """The pages of a development server, by their path."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder), dev=True))
    assert isinstance(app, GateMiddleware)
    return {
        route.path: route
        for route in app._operations.routes
        if route.operation.page and route.method == "GET" and route.operation.id not in NO_PAGES
    }


class Gallery:
    """The installation. ``newcomer`` has just signed up, and asked for another plan; ``site.operator`` has it all."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.newcomer = Account("", {})
        self._parameters: dict[str, str] = {"tenant_id": "test-tenant"}
        self._links: dict[str, str] = {}

    def find(self, path: str) -> Found:
        """Where the page of a route is. Raises LookupError, with what is missing, for one that cannot be found."""
        if path in _MAILED:
            return Found(self._links[path], self._account(path))
        address = path
        for name in (segment[1:-1] for segment in path.split("/") if segment.startswith("{")):
            if name not in self._parameters:
                raise LookupError(f"{path}: say in tests/browser/gallery.py which {name} there is, or in NO_PAGES why")
            value = self._parameters[_OTHERS.get(path, name)]
            address = address.replace(f"{{{name}}}", value)
        return Found(address, self._account(path))

    def _account(self, path: str) -> Account | None:
        everyone = page_routes()[path].operation.audience is Audience.EVERYONE
        return None if everyone else self.site.operator

    async def fill(self) -> None:
        """Make everything that pages show."""
        operator = self.site.without_scripts()
        operator.cookies = self.site.operator.cookies
        await self._keys(operator)
        await self._device(operator)
        self.newcomer = await self.site.sign_up("nora.newcomer@example.com")
        await self._plan_request(operator)
        await self._mails(operator)
        log = await operator.get("/audit-log?action=api_key.created")
        self._parameters["event_id"] = next(link for link in log.links if "/evt_" in link).rpartition("/")[2]

    async def _keys(self, operator: Browser) -> None:
        form = await operator.get("/api-keys/new")
        made = await operator.submit(form, "/api-keys/new", name="Nightly report", environment="test", access="manager")
        key = made.ids["key"].strip()
        await asyncio.to_thread(_use, self.site.server.url, key)
        with AITBCClient(api_key=key, base_url=self.site.server.url) as client:
            self._parameters["key_id"] = client.api_keys.self().key.id
            jobs = list(client.jobs.list())
            self._parameters["job_id"] = next(job.job_id for job in jobs if job.state == "COMPLETED")
            self._parameters["queued_job_id"] = next(job.job_id for job in jobs if job.state == "QUEUED")

    async def _device(self, operator: Browser) -> None:
        begun = await operator.post("/oauth/device_authorization", {"client_id": "aitbc-cli"})
        code = begun.answer.json()["user_code"]
        page = await operator.submit(await operator.get("/device"), "/device", code=code)
        self._parameters["grant_id"] = page.answer.headers["location"].rpartition("/")[2]

    async def _plan_request(self, operator: Browser) -> None:
        newcomer = self.site.without_scripts()
        newcomer.cookies = self.newcomer.cookies
        first = await newcomer.submit(
            await newcomer.get("/plan"), "/plan/requests", plan_id="enterprise", note="A try."
        )
        await self._decided(operator, await newcomer.follow(first))
        note = "We move our nightly reports here in May: some 200 requests a minute, for two hours."
        await newcomer.submit(await newcomer.get("/plan"), "/plan/requests", plan_id="pro", note=note)
        await newcomer.get("/plan")
        admin = await operator.get("/admin")
        link = next(link for link in admin.links if link.startswith("/admin/plan-requests/"))
        self._parameters["request_id"] = link.rpartition("/")[2]

    async def _decided(self, operator: Browser, plan: Page) -> None:
        assert "Asked for" in plan.text
        admin = await operator.get("/admin")
        path = next(link for link in admin.links if link.startswith("/admin/plan-requests/"))
        await operator.submit(await operator.get(path), path, decision="refuse", answer="Tell us more, please.")
        await operator.get("/admin")

    async def _mails(self, operator: Browser) -> None:
        stranger = self.site.without_scripts()
        await stranger.submit(
            await stranger.get("/sign-up"), "/sign-up", email="sam.stranger@example.com", password=PASSWORD
        )
        form = await stranger.get("/forgot-password")
        await stranger.submit(form, "/forgot-password", email=self.newcomer.email)
        await operator.submit(await operator.get("/settings/email"), "/settings/email", email="olga@example.org")
        for path in _MAILED:
            self._links[path] = await self.site.mailed_link(path)
        # What was to be said about all this is said.
        await operator.get("/overview")


def _use(url: str, key: str) -> None:
    """Do with the key what programs do: jobs, keys of other kinds, and requests that are refused."""
    with AITBCClient(api_key=key, base_url=url) as client:
        jobs = [client.jobs.create({"name": f"Report {n}", "type": "text-statistics", "text": WORDS}) for n in range(3)]
        client.jobs.wait_for_completion(jobs[-1].job_id)
        client.jobs.create(
            {"name": "Render the film", "type": "text-statistics", "text": WORDS, "constraints": {"gpu": "H100"}}
        )
        for name, scopes in (
            ("Website, Frankfurt, blue/green deployment", ["jobs:read", "jobs:write"]),
            ("Pipeline", ["usage:read"]),
            ("Laptop", ["jobs:read", "jobs:write", "miners:read", "usage:read", "audit:read"]),
        ):
            made = client.api_keys.create(name=name, scopes=scopes, environment="test")
        long = client.api_keys.create(name=LONG_NAME, scopes=["jobs:read"], environment="test")
        revoked = client.api_keys.create(name="Old phone", scopes=["jobs:read"], environment="test")
        client.api_keys.revoke(revoked.id)
    for each in (long.key, made.key):
        _be_refused(url, str(each))


def _be_refused(url: str, key: str) -> None:
    with AITBCClient(api_key=key, base_url=url) as client:
        list(client.jobs.list())
        for _ in range(3):
            try:
                client.api_keys.create(name="One too many")
            except PermissionDeniedError:
                continue
