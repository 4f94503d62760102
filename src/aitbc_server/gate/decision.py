"""The decision: pure. A checked credential and the facts of a request in, the reason to refuse it out.

The order is a contract: revoked, disabled, expired -> tenant -> client address -> scope. The limits come after.
"""

from __future__ import annotations

from ipaddress import ip_address

import msgspec

from aitbc.schemas.scopes import Scope
from aitbc_server.errors import Code
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.records import TenantRecord


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """One reason why not: ``code`` for programs, ``detail`` for people."""

    code: Code
    detail: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What a request says of itself. ``tenant_id`` is None where no tenant is asserted; "" is an assertion."""

    operation: Operation
    key_id: str | None
    tenant_id: str | None
    client_ip: str | None


REVOKED = Refusal(Code.REVOKED_API_KEY, "This API key was revoked.")
DISABLED = Refusal(
    Code.DISABLED_API_KEY, "This API key is disabled. Somebody who manages the tenant's keys can enable it."
)
EXPIRED = Refusal(Code.EXPIRED_API_KEY, "This API key has expired.")
# A previous secret past its grace period was replaced: whoever holds it is told that, and no more.
REPLACED = Refusal(Code.EXPIRED_API_KEY, "This secret was replaced when the API key was regenerated.")
TENANT_MISMATCH = Refusal(
    Code.TENANT_MISMATCH,
    "X-Tenant-ID names a tenant that this API key does not belong to. Leave the header out, or correct it.",
)
TENANT_SUSPENDED = Refusal(Code.TENANT_SUSPENDED, "This tenant is suspended.")
IP_NOT_ALLOWED = Refusal(Code.IP_NOT_ALLOWED, "This API key may not be used from this address.")
NOT_BY_PREVIOUS_SECRET = Refusal(
    Code.INSUFFICIENT_SCOPE,
    "A secret in its grace period cannot see, regenerate or revoke its key. Use the new secret.",
)
NOT_TO_ITSELF = Refusal(Code.INSUFFICIENT_SCOPE, "An API key cannot change itself.")


def acting_tenant(credential: Credential, tenant_id: str | None) -> TenantRecord | None:
    """The tenant whose data, plan and usage apply; None where the asserted one is not the key's."""
    home = credential.record.tenant
    if tenant_id is None or tenant_id == home.id:
        return home
    return credential.record.granted.get(tenant_id)


def refusal(credential: Credential, facts: Facts, tenant: TenantRecord | None, now_us: int) -> Refusal | None:
    """Why this request is refused before any limit is asked; None where the limits decide.

    ``tenant`` is the ``acting_tenant``.
    """
    record = credential.record
    if record.revoked:
        return REVOKED
    if not record.enabled:
        return DISABLED
    if record.expires_at_us is not None and record.expires_at_us <= now_us:
        return EXPIRED
    if credential.expires_at_us is not None and credential.expires_at_us <= now_us:
        return REPLACED
    if tenant is None:
        return TENANT_MISMATCH
    # A suspended tenant's keys are refused everywhere, also where they act for another tenant.
    if tenant.suspended or record.tenant.suspended:
        return TENANT_SUSPENDED
    if record.networks and not _address_is_allowed(credential, facts.client_ip):
        return IP_NOT_ALLOWED
    return _scope_refusal(credential, facts)


def is_lasting(credential: Credential) -> bool:
    """Whether ``refusal`` says the same of it at any time and from any address, for one operation and tenant."""
    record = credential.record
    return record.expires_at_us is None and credential.expires_at_us is None and not record.networks


def _address_is_allowed(credential: Credential, client_ip: str | None) -> bool:
    # An address that is missing or unreadable is not in any network: it denies. (ASVS 8.2.4)
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return any(address in network for network in credential.record.networks)


def _scope_refusal(credential: Credential, facts: Facts) -> Refusal | None:
    operation = facts.operation
    record = credential.record
    own = operation.own_key and (facts.key_id is None or facts.key_id == record.key_id)
    if operation.never_own and facts.key_id == record.key_id:
        return NOT_TO_ITSELF
    if own and credential.is_previous:
        # A leaked old secret must not be able to give its key another secret, or to learn which key it is. What the
        # scopes allow with other keys goes on, so that who manages keys can change the secret without a pause.
        if facts.key_id is not None or operation.scope is None or operation.scope not in record.scopes:
            return NOT_BY_PREVIOUS_SECRET
        return None
    if own or operation.scope is None or operation.scope in record.scopes:
        return None
    return missing_scope(operation.scope)


def missing_scope(scope: Scope) -> Refusal:
    """The key lacks ``scope``."""
    return Refusal(Code.INSUFFICIENT_SCOPE, f"This needs the scope {scope}, which this API key does not have.")
