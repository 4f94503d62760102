"""What the server does about API keys, put together."""

from __future__ import annotations

from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.api_keys.views import LastUse
from aitbc_server.foundation import Foundation


def api_key_service(base: Foundation, last_use: LastUse) -> ApiKeyService:
    """The service; a key works here as soon as its maker knows it."""
    return ApiKeyService(
        base.units,
        base.digests,
        base.audit,
        base.cursors,
        base.idempotency,
        last_use,
        on_new_secret=base.cache.expect,
        max_keys=base.settings.max_keys_per_tenant,
    )
