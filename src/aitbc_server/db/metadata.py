"""The metadata of all models: importing this imports every feature's."""

from __future__ import annotations

import aitbc_server.api_keys.model
import aitbc_server.audit.model
import aitbc_server.db.installation_id
import aitbc_server.db.outbox
import aitbc_server.device.model
import aitbc_server.idempotency.model
import aitbc_server.jobs.model
import aitbc_server.mail.model
import aitbc_server.miners.model
import aitbc_server.tenants.model
import aitbc_server.usage.model
import aitbc_server.users.model  # noqa: F401
from aitbc_server.db.base import Base

metadata = Base.metadata
