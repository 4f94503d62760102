"""Tenants and plans, as the operator's commands print them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from aitbc.schemas.common import Response


class Tenant(Response):
    """Who owns keys, jobs and a plan."""

    id: str
    name: str
    plan: str
    status: Literal["active", "suspended"]
    created_at: datetime
