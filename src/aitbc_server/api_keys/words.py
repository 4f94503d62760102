"""What scopes, presets and grace periods are called on pages."""

from __future__ import annotations

from aitbc.schemas.scopes import Preset, Scope

PRESETS: dict[Preset, str] = {
    Preset.CLIENT: "Submit jobs, read their results, see usage.",
    Preset.MINER: "Run jobs on a machine of yours.",
    Preset.MANAGER: "Everything, other API keys included. Keep it off other people's machines.",
    Preset.GATEWAY: "Check API keys on behalf of other services.",
}

SCOPES: dict[Scope, str] = {
    Scope.JOBS_READ: "See jobs and their results",
    Scope.JOBS_WRITE: "Submit and cancel jobs",
    Scope.MINERS_READ: "See miners",
    Scope.MINERS_WORK: "Register a miner and run jobs",
    Scope.API_KEYS_READ: "See API keys",
    Scope.API_KEYS_WRITE: "Create, change and revoke API keys",
    Scope.API_KEYS_VERIFY: "Check API keys for other services",
    Scope.USAGE_READ: "See usage",
    Scope.AUDIT_READ: "Read the audit log",
    Scope.MEMBERS_READ: "See members",
    Scope.MEMBERS_WRITE: "Invite and change members",
}

#: How long an old secret may go on, in seconds.
GRACE_PERIODS: dict[int, str] = {
    0: "Not at all: it stops now",
    3600: "1 hour",
    24 * 3600: "24 hours",
    3 * 24 * 3600: "3 days",
    7 * 24 * 3600: "7 days",
}
