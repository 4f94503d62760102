"""What outcomes and operations are called on pages, and what to do about a refusal."""

from __future__ import annotations

from typing import NamedTuple

from aitbc_server.errors import Code
from aitbc_server.gate.store import ALLOWED


class Outcome(NamedTuple):
    """An outcome in words: a name, why the request was refused, and what helps."""

    name: str
    reason: str
    remedy: str


_OUTCOMES: dict[str, Outcome] = {
    ALLOWED: Outcome("Allowed", "", ""),
    Code.RATE_LIMIT_EXCEEDED: Outcome(
        "Rate limit used up",
        "There were more requests in 60 seconds than the plan's limit, or the key's own, allows.",
        "Wait as long as Retry-After says, raise the key's own limit where that is used up, or ask for a larger plan.",
    ),
    Code.INSUFFICIENT_SCOPE: Outcome(
        "Scope missing",
        # An old secret may do nothing to its own key, whatever its scopes: the outcome is the same.
        "The API key does not have the scope that this needs.",
        "Add the scope to the key; in place of an old secret, use the new one.",
    ),
    Code.IP_NOT_ALLOWED: Outcome(
        "Address not allowed",
        "The request came from an address that the API key may not be used from.",
        "Add the address to the key, if it is yours.",
    ),
    Code.EXPIRED_API_KEY: Outcome(
        "Key or secret expired",
        "The API key has expired, or its old secret after a regeneration.",
        "Use the new secret, or generate a new key.",
    ),
    Code.REVOKED_API_KEY: Outcome(
        "Key revoked",
        "The API key was revoked, and something still uses it.",
        "Find what uses it, and give it another key.",
    ),
    Code.DISABLED_API_KEY: Outcome("Key disabled", "The API key is disabled.", "Enable it when it should work again."),
    Code.TENANT_MISMATCH: Outcome(
        "Wrong tenant",
        "X-Tenant-ID named a tenant that the API key does not belong to.",
        "Leave the header out, or correct it.",
    ),
    Code.TENANT_SUSPENDED: Outcome("Tenant suspended", "The tenant is suspended.", "Ask who runs this installation."),
}

_OPERATIONS = {
    "api_keys.create": "Create an API key",
    "api_keys.get": "Get an API key",
    "api_keys.list": "List API keys",
    "api_keys.regenerate": "Regenerate an API key",
    "api_keys.revoke": "Revoke an API key",
    "api_keys.self": "Look at its own key",
    "api_keys.update": "Change an API key",
    "api_keys.usage": "Get a key's usage",
    "api_keys.verify": "Verify an API key",
    "audit_log.list": "Read the audit log",
    "jobs.cancel": "Cancel a job",
    "jobs.create": "Create a job",
    "jobs.get": "Get a job",
    "jobs.list": "List jobs",
    "jobs.result": "Get a job's result",
    "miners.heartbeat": "Miner heartbeat",
    "miners.list": "List miners",
    "miners.poll": "Poll for a job",
    "miners.register": "Register a miner",
    "miners.submit_failure": "Report a job's failure",
    "miners.submit_result": "Submit a job's result",
    "unmatched": "An unknown path",
    "usage.get": "Get usage",
}


def outcome_words(outcome: str) -> Outcome:
    """An outcome in words; a later release's, by its code."""
    return _OUTCOMES.get(outcome) or Outcome(_plain(outcome), "The request was refused.", "")


def operation_words(operation: str) -> str:
    """An operation in words; a later release's, by its id."""
    return _OPERATIONS.get(operation) or _plain(operation)


def _plain(code: str) -> str:
    return code.replace("_", " ").replace(".", ": ").capitalize()
