"""What the doctor says."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``remedy`` says what to do where it is not well."""

    level: Level
    what: str
    detail: str
    remedy: str | None = None

    def about(self, name: str) -> Finding:
        """The same of one of several."""
        return msgspec.structs.replace(self, detail=f"{name}: {self.detail}")
