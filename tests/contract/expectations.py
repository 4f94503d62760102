"""Who may do what: the one table that the authorisation matrix is held against. Written by hand, from the design.

A route that is not here fails the matrix, so whoever adds one says here what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aitbc.schemas.scopes import Scope

NOWHERE = {"gpu": "a card that no miner of these tests has"}


class Rule(NamedTuple):
    """What one route takes.

    ``scope``: what a key needs; None: any key will do. ``own``: a key may do it to itself without the scope.
    ``never_own``: it may not do it to itself, whatever its scopes. ``allowed``: the status for who may, to an object
    of theirs; ``body`` is what they send.
    """

    scope: Scope | None = None
    own: bool = False
    never_own: bool = False
    public: bool = False
    allowed: int = 200
    body: Mapping[str, Any] | None = None


RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/health/live"): Rule(public=True),
    ("GET", "/health/ready"): Rule(public=True),
    ("GET", "/v1/health"): Rule(public=True),
    ("GET", "/openapi.json"): Rule(public=True),
    ("GET", "/docs"): Rule(public=True),
    # Forms, and the matrix sends none.
    ("POST", "/oauth/device_authorization"): Rule(public=True, allowed=400),
    ("POST", "/oauth/token"): Rule(public=True, allowed=400),
    ("POST", "/v1/api-keys"): Rule(
        Scope.API_KEYS_WRITE, allowed=201, body={"name": "made by the matrix", "scopes": ["api_keys:write"]}
    ),
    ("GET", "/v1/api-keys"): Rule(Scope.API_KEYS_READ, own=True),
    ("GET", "/v1/api-keys/self"): Rule(own=True),
    ("GET", "/v1/api-keys/{key_id}"): Rule(Scope.API_KEYS_READ, own=True),
    ("PATCH", "/v1/api-keys/{key_id}"): Rule(Scope.API_KEYS_WRITE, never_own=True, body={"name": "renamed"}),
    ("POST", "/v1/api-keys/{key_id}/revoke"): Rule(Scope.API_KEYS_WRITE, own=True, body={}),
    ("POST", "/v1/api-keys/{key_id}/regenerate"): Rule(Scope.API_KEYS_WRITE, own=True, body={}),
    ("GET", "/v1/api-keys/{key_id}/usage"): Rule(Scope.USAGE_READ, own=True),
    ("GET", "/v1/usage"): Rule(Scope.USAGE_READ, own=True),
    ("POST", "/v1/api-keys/verify"): Rule(Scope.API_KEYS_VERIFY, body={"key": "x"}),
    ("POST", "/v1/jobs"): Rule(
        Scope.JOBS_WRITE, allowed=201, body={"payload": {"text": "hello"}, "constraints": NOWHERE}
    ),
    ("GET", "/v1/jobs"): Rule(Scope.JOBS_READ),
    ("GET", "/v1/jobs/{job_id}"): Rule(Scope.JOBS_READ),
    # The jobs of the matrix wait for ever: they are not ready.
    ("GET", "/v1/jobs/{job_id}/result"): Rule(Scope.JOBS_READ, allowed=425),
    ("POST", "/v1/jobs/{job_id}/cancel"): Rule(Scope.JOBS_WRITE, body={}),
    # Calls of a key that registered no miner, and holds no job, find none.
    ("POST", "/v1/miners/register"): Rule(Scope.MINERS_WORK, body={"capabilities": {}}),
    ("POST", "/v1/miners/heartbeat"): Rule(Scope.MINERS_WORK, allowed=404, body={}),
    ("POST", "/v1/miners/poll"): Rule(Scope.MINERS_WORK, allowed=404, body={"max_wait_seconds": 0}),
    ("POST", "/v1/miners/{job_id}/result"): Rule(Scope.MINERS_WORK, allowed=404, body={"result": {}}),
    ("POST", "/v1/miners/{job_id}/fail"): Rule(Scope.MINERS_WORK, allowed=404, body={"error_code": "broken"}),
    ("GET", "/v1/miners"): Rule(Scope.MINERS_READ),
    ("GET", "/v1/audit-log"): Rule(Scope.AUDIT_READ),
}

#: Answered without a key. This list only ever gets shorter, or a page of the sign-in joins it (design section 5).
PUBLIC = frozenset(
    {
        "/health/live",
        "/health/ready",
        "/v1/health",
        "/openapi.json",
        "/docs",
        "/oauth/device_authorization",
        "/oauth/token",
    }
)
