"""Tenants and plans, as the operator's commands print them."""

from __future__ import annotations

from typing import Annotated

from aitbc.schemas.common import Response, Time, known


class Tenant(Response):
    """Who owns keys, jobs and a plan."""

    id: str
    name: str
    plan: str
    status: Annotated[str, known(("active", "suspended"))]
    created_at: Time


class Plan(Response):
    """How many requests a tenant may make in any 60 s."""

    id: str
    name: str
    limit_per_minute: int
