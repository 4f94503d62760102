"""What the pages of tenants are made of, put together."""

from __future__ import annotations

from typing import Any

from aitbc_server.foundation import Foundation
from aitbc_server.tenants.directory import Directory
from aitbc_server.tenants.plan_requests import PlanRequestService
from aitbc_server.tenants.plans import PlanService
from aitbc_server.tenants.service import TenantService


def tenant_services(base: Foundation) -> dict[str, Any]:
    """What handlers get by name."""
    tenants = TenantService(base.units, base.audit)
    requests = PlanRequestService(base.units, base.audit, tenants, base.mailbox, base.settings.site_url)
    return {
        "tenants": tenants,
        "plans": PlanService(base.units, base.audit),
        "plan_requests": requests,
        "directory": Directory(base.units),
    }
