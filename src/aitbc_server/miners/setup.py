"""What jobs and the miners that run them are made of, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aitbc_server.foundation import Foundation
from aitbc_server.jobs.model import JobRow
from aitbc_server.jobs.service import JobService
from aitbc_server.jobs.sweeper import JobSweeper
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.miners import purge
from aitbc_server.miners.polling import JobDispatch
from aitbc_server.miners.presence import Presence
from aitbc_server.miners.service import MinerService
from aitbc_server.stopping import Stopping


class Market:
    """``services`` are what handlers get by name; ``lifespan`` is what runs beside them, in its order."""

    def __init__(self, base: Foundation, stopping: Stopping, job_ended: Callable[[JobRow], None]) -> None:
        units = base.units.in_turns()
        lease_s = base.settings.lease_s
        self.waiting = waiting = WaitingRoom()
        stopping.add(waiting.close)
        presence = Presence(units, lease_s=lease_s)
        self.services: dict[str, Any] = {
            "jobs": JobService(units, base.cursors, base.idempotency, waiting, base.audit),
            "miners": MinerService(units, base.cursors, waiting, presence, job_ended),
            "dispatch": JobDispatch(units, waiting, presence, lease_s=lease_s),
        }
        self.lifespan = (
            presence.running,
            lambda: purge.running(units, presence),
            JobSweeper(units, waiting, presence.flush).running,
        )
