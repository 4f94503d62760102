"""The two operations that the gate answers itself, in front of the framework.

They are declared as routes like every other, so that the OpenAPI and the permission matrix have them.
"""

from __future__ import annotations

from aitbc.schemas.scopes import Scope
from aitbc_server.gate.operations import Operation

#: ``GET /v1/api-keys/self``: any key may look at itself; a secret in its grace period may not.
SELF = Operation("api_keys.self", own_key=True)

#: ``POST /v1/api-keys/verify``: takes from the limits of the key that is asked about, never from the caller's.
VERIFY = Operation("api_keys.verify", Scope.API_KEYS_VERIFY, cost=0)
