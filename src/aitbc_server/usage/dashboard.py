"""The overview, and what its pages and those of keys show live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.dashboard.access import WATCHING
from aitbc_server.dashboard.cookies import Cookies
from aitbc_server.dashboard.forms import query_of
from aitbc_server.dashboard.live import MEDIA_TYPE, Doubt, LiveStreams, Pieces, answer
from aitbc_server.dashboard.pages import Page, Pages, for_page
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.usage.choices import Choice
from aitbc_server.usage.panels import UsagePanels
from aitbc_server.users.sessions import Sessions, SignedIn

OVERVIEW = Operation("dashboard.overview", Scope.USAGE_READ, audience=Audience.PERSON)
OVERVIEW_LIVE = Operation("dashboard.overview_live", Scope.USAGE_READ, audience=Audience.PERSON)
KEY_LIVE = Operation("dashboard.api_key_live", Scope.USAGE_READ, audience=Audience.PERSON)

AnyRequest = Request[Any, Any, Any]

# A whole page costs several questions to the database: so often while requests come in, and so often when none do.
_BUSY_S, _QUIET_S = 2.0, 10.0
# A session that another process ended is noticed then.
_SESSION_S = 5.0


def _streamed(operation: Operation) -> dict[str, Any]:
    """As ``for_page``, for a stream of events, which is no use of the session."""
    page = for_page(operation)
    return {**page, "media_type": MEDIA_TYPE, "opt": {**page["opt"], WATCHING: True}}


@get("/overview", **for_page(OVERVIEW))
async def overview(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    pages: NamedDependency[Pages],
    usage_panels: NamedDependency[UsagePanels],
) -> Page:
    """Requests over time, limits, refusals, changes; first steps where nothing has succeeded yet."""
    choice = Choice.of(query_of(request).line)
    pieces = await usage_panels.overview(actor, choice)
    starting = "yes" if pieces["start"] else None
    return pages.render(
        request, "usage/overview.html", choice=choice, pieces=pieces, live_query=choice.query(starting=starting)
    )


@get("/overview/live", **_streamed(OVERVIEW_LIVE))
async def overview_live(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    signed_in: NamedDependency[SignedIn],
    cookie_jar: NamedDependency[Cookies],
    live: NamedDependency[LiveParts],
    usage_panels: NamedDependency[UsagePanels],
) -> Stream:
    """What changes on the overview, as it changes."""
    query = query_of(request)
    choice, starting = Choice.of(query.line), query.line("starting") == "yes"
    return live.open(
        cookie_jar.read(request.cookies, cookie_jar.session),
        signed_in,
        actor,
        whole=lambda: usage_panels.overview(actor, choice, starting=starting),
        limits=lambda: usage_panels.overview_limits(actor),
    )


@get("/api-keys/{key_id:str}/live", **_streamed(KEY_LIVE))
async def key_live(
    request: AnyRequest,
    key_id: FromPath[str],
    actor: NamedDependency[Actor],
    signed_in: NamedDependency[SignedIn],
    cookie_jar: NamedDependency[Cookies],
    live: NamedDependency[LiveParts],
    pages: NamedDependency[Pages],
    api_keys: NamedDependency[ApiKeyService],
    usage_panels: NamedDependency[UsagePanels],
) -> Stream:
    """What changes on a key's page, as it changes."""
    choice = Choice.of(query_of(request).line)

    async def whole() -> Mapping[str, str]:
        old_secret = pages.fragment("api_keys/_old_secret.html", key=await api_keys.get(actor, key_id))
        return {**await usage_panels.key(actor, key_id, choice), "old-secret": old_secret}

    # A key that is not to be seen is not found before anything is streamed.
    await usage_panels.key_limits(actor, key_id)
    return live.open(
        cookie_jar.read(request.cookies, cookie_jar.session),
        signed_in,
        actor,
        whole=whole,
        limits=lambda: usage_panels.key_limits(actor, key_id),
    )


_Parts = Callable[[], Awaitable[Mapping[str, str]]]


class LiveParts:
    """Opens streams whose parts are looked at as often as they may change, while the session lives."""

    def __init__(self, streams: LiveStreams, sessions: Sessions, panels: UsagePanels) -> None:
        self._streams = streams
        self._sessions = sessions
        self._panels = panels
        sessions.on_end(streams.look_again)

    def open(self, token: str | None, signed_in: SignedIn, actor: Actor, *, whole: _Parts, limits: _Parts) -> Stream:
        """A stream for the session with this token. ``whole`` are all parts, ``limits`` those that time alone changes.

        Raises as ``LiveStreams.open`` does.
        """
        pieces, doubt = self._pieces(token or "", signed_in, actor, whole, limits)
        return answer(self._streams.open(signed_in.user_id, pieces, doubt))

    def _pieces(
        self, token: str, signed_in: SignedIn, actor: Actor, whole: _Parts, limits: _Parts
    ) -> tuple[Pieces, Doubt]:
        time = asyncio.get_running_loop().time
        parts: dict[str, str] = {}
        looked_at = asked_at = -_QUIET_S
        pulse = -1

        async def pieces() -> Mapping[str, str] | None:
            nonlocal looked_at, asked_at, pulse
            if time() - asked_at >= _SESSION_S:
                # Looking on is no use of the session: nobody may be sitting there.
                now_signed_in = await self._sessions.resume(token, seen=False)
                if now_signed_in is None or not _sees_the_same(now_signed_in, signed_in):
                    return None
                asked_at = time()
            levels, beat = await limits(), self._panels.pulse(actor)
            # What other nodes decided shows in the limits alone.
            busy = beat != pulse or any(parts.get(name) != level for name, level in levels.items())
            if time() - looked_at >= (_BUSY_S if busy else _QUIET_S):
                looked_at, pulse = time(), beat
                parts.update(await whole())
                return dict(parts)
            # Told at once, and still another than what the whole was looked at with.
            return {**parts, **levels}

        def doubt() -> None:
            nonlocal asked_at
            asked_at = -_SESSION_S

        return pieces, doubt


def _sees_the_same(now: SignedIn, then: SignedIn) -> bool:
    """Whether the session still looks at this tenant, in this role."""
    return (now.tenant_id, now.role) == (then.tenant_id, then.role)


ROUTES = [overview, overview_live, key_live]
