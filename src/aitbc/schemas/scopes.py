"""Scopes, presets, environments: what a key may do."""

from __future__ import annotations

from enum import StrEnum


class Environment(StrEnum):
    """Which world a key lives in. Test and live never see each other's jobs, miners and keys."""

    LIVE = "live"
    TEST = "test"


class Scope(StrEnum):
    """One permission that a key may carry. A new scope never attaches itself to existing keys."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    MINERS_READ = "miners:read"
    MINERS_WORK = "miners:work"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    API_KEYS_VERIFY = "api_keys:verify"
    USAGE_READ = "usage:read"
    AUDIT_READ = "audit:read"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"


class Preset(StrEnum):
    """A named set of scopes, so that most people never pick single ones."""

    CLIENT = "client"
    MINER = "miner"
    MANAGER = "manager"
    GATEWAY = "gateway"


# Written out rather than computed from Scope: a scope added later must not slip into a preset by itself.
PRESET_SCOPES: dict[Preset, frozenset[Scope]] = {
    Preset.CLIENT: frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.USAGE_READ}),
    Preset.MINER: frozenset({Scope.MINERS_WORK, Scope.MINERS_READ}),
    Preset.MANAGER: frozenset(
        {
            Scope.JOBS_READ,
            Scope.JOBS_WRITE,
            Scope.MINERS_READ,
            Scope.MINERS_WORK,
            Scope.API_KEYS_READ,
            Scope.API_KEYS_WRITE,
            Scope.USAGE_READ,
            Scope.AUDIT_READ,
            Scope.MEMBERS_READ,
            Scope.MEMBERS_WRITE,
        }
    ),
    Preset.GATEWAY: frozenset({Scope.API_KEYS_VERIFY}),
}
