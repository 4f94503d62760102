"""What the pages of usage are made of, put together."""

from __future__ import annotations

from typing import Any

from aitbc_server.audit.service import AuditReader
from aitbc_server.dashboard.live import LiveStreams
from aitbc_server.dashboard.pages import Pages
from aitbc_server.foundation import Foundation
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.store import Store
from aitbc_server.stopping import Stopping
from aitbc_server.usage.activity import UsageActivity
from aitbc_server.usage.dashboard import LiveParts
from aitbc_server.usage.limits import Levels, LimitStates
from aitbc_server.usage.panels import UsagePanels
from aitbc_server.usage.service import UsageService
from aitbc_server.users.sessions import Sessions


def usage_services(
    base: Foundation, counter: UsageCounter, store: Store, pages: Pages, sessions: Sessions, stopping: Stopping
) -> dict[str, Any]:
    """What handlers get by name: the answers about usage, and the parts of pages that show them."""
    # In a fleet, limits stand in the store that all of its nodes share.
    looked_at: Levels = store if base.shared is None else base.shared.store
    usage = UsageService(base.units, counter, base.settings.usage_retention)
    activity = UsageActivity(base.units, counter, base.settings.usage_retention)
    panels = UsagePanels(
        usage=usage,
        activity=activity,
        limits=LimitStates(base.units, looked_at),
        audit=AuditReader(base.units, base.cursors, base.audit),
        render=pages.fragment,
        clock=base.clock,
        site_url=base.settings.site_url,
    )
    streams = LiveStreams()
    stopping.add(streams.close)
    live = LiveParts(streams, sessions, panels)
    return {"usage": usage, "usage_activity": activity, "usage_panels": panels, "live": live}
