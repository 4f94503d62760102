"""``client.audit``: who changed what, and when."""

from __future__ import annotations

from aitbc._call import Call, Time, query
from aitbc._methods import M, Resource, listing
from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.common import Page


class AuditLog(Resource[M]):
    """The audit log of the key's tenant."""

    @listing
    def list(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        key_id: str | None = None,
        from_: Time | None = None,
        to: Time | None = None,
        limit: int | None = None,
    ) -> Call[Page[AuditEvent]]:
        """Iterate over the changes, newest first: ``for event in client.audit.list(key_id="key_..."): ...``.

        ``actor`` is the id of who did it. ``limit`` is the size of a page (1 to 100, else 50), not of the
        whole. Raises ValidationError for a filter that is not valid.
        """
        return Call(
            "GET",
            "/v1/audit-log",
            Page[AuditEvent],
            query=query(action=action, actor=actor, key_id=key_id, from_=from_, to=to, limit=limit),
            idempotent=True,
        )
