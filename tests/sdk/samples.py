"""Answers of the API as they are on the wire."""

from __future__ import annotations

from typing import Any

TIME = "2026-11-24T06:00:00.000Z"

JOB: dict[str, Any] = {
    "job_id": "job_1",
    "state": "QUEUED",
    "assigned_miner_id": None,
    "requested_at": TIME,
    "expires_at": "2026-11-24T06:15:00.000Z",
    "error": None,
}
RECEIPT: dict[str, Any] = {
    "receipt_id": "rcp_1",
    "job_id": "job_1",
    "miner_id": "rig-1",
    "completed_at": TIME,
    "result_sha256": "0" * 64,
}
API_KEY: dict[str, Any] = {
    "id": "key_0123456789ab",
    "name": "ci",
    "masked": "aitbc_test_0123456789ab_…cks0",
    "environment": "test",
    "preset": "client",
    "scopes": ["jobs:read", "jobs:write", "usage:read"],
    "tenant_id": "test-tenant",
    "tenant_ids": [],
    "status": "active",
    "created_at": TIME,
    "created_by": None,
    "expires_at": None,
    "last_used_at": None,
    "last_used_ip": None,
    "allowed_ips": [],
    "limit_per_minute": None,
    "metadata": {},
    "secret_created_at": TIME,
    "previous_secret": None,
}
MINER: dict[str, Any] = {
    "miner_id": "rig-1",
    "key_id": "key_0123456789ab",
    "status": "ONLINE",
    "region": None,
    "concurrency": 1,
    "inflight": 0,
    "capabilities": {},
    "registered_at": TIME,
    "last_seen_at": TIME,
}
USAGE: dict[str, Any] = {
    "from": TIME,
    "to": TIME,
    "granularity": "hour",
    "series": [{"points": [[TIME, 3]], "outcome": "allowed"}],
    "totals": {"total": 3, "allowed": 3, "refused": 0, "outcomes": {"allowed": 3}},
}
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "time": TIME,
    "actor": {"type": "api_key", "id": "key_0123456789ab", "name": "ci"},
    "action": "api_key.revoke",
    "target": {"type": "api_key", "id": "key_0123456789ab"},
    "client_ip": "127.0.0.1",
    "request_id": "req_1",
    "before": {"status": "active"},
    "after": {"status": "revoked"},
}


def job(**changes: Any) -> dict[str, Any]:
    """A job that differs from the queued one by ``changes``."""
    return {**JOB, **changes}


def problem(status: int, code: str, **more: Any) -> dict[str, Any]:
    """An error in the one error shape."""
    return {
        "type": f"urn:aitbc:error:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": f"a sentence about {code}",
        "code": code,
        "request_id": "req_1",
        **more,
    }
