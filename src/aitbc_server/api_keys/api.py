"""The routes of API keys."""

from __future__ import annotations

from typing import Annotated, TypeVar

from litestar import Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from aitbc.schemas.api_keys import (
    ApiKey,
    ApiKeyWithSecret,
    ChangedApiKey,
    CreateApiKey,
    KeySelf,
    KeyStatus,
    RegenerateApiKey,
    UpdateApiKey,
    VerifyApiKey,
    VerifyResult,
)
from aitbc.schemas.common import NoFields, Page
from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.errors import Code
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.own_operations import SELF, VERIFY
from aitbc_server.idempotency.api import IdempotencyKeyHeader, one_idempotency_key
from aitbc_server.pagination import DEFAULT_LIMIT, MAX_LIMIT
from aitbc_server.web.routing import for_operation

CREATE = Operation("api_keys.create", Scope.API_KEYS_WRITE)
LIST = Operation("api_keys.list", Scope.API_KEYS_READ, own_key=True)
GET = Operation("api_keys.get", Scope.API_KEYS_READ, own_key=True)
UPDATE = Operation("api_keys.update", Scope.API_KEYS_WRITE, never_own=True)
REVOKE = Operation("api_keys.revoke", Scope.API_KEYS_WRITE, own_key=True)
REGENERATE = Operation("api_keys.regenerate", Scope.API_KEYS_WRITE, own_key=True)

_BOTH = {"required": ["preset", "scopes"], "properties": {"preset": {"type": "string"}, "scopes": {"type": "array"}}}
#: For the OpenAPI: a preset or scopes, not both.
NEW_KEY = Annotated[CreateApiKey, Meta(extra_json_schema={"not": _BOTH})]

CallingActor = NamedDependency[Actor]
Service = NamedDependency[ApiKeyService]
Changed = TypeVar("Changed", bound=ChangedApiKey)

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many on one page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
Search = Annotated[
    str | None, QueryParameter(min_length=1, max_length=100, description="Only keys whose name or id holds this text.")
]


@post(
    "/v1/api-keys",
    **for_operation(CREATE, errors=[Code.CONFLICT], bodies=[NEW_KEY]),
    guards=[one_idempotency_key],
)
async def create_api_key(
    data: JSONBody[CreateApiKey], actor: CallingActor, api_keys: Service, idempotency_key: IdempotencyKeyHeader = None
) -> Response[ApiKeyWithSecret]:
    """Create an API key. `key` is in this answer and never again; a replay by `Idempotency-Key` is without it."""
    return _answer(await api_keys.create(actor, data, idempotency_key=idempotency_key), 201)


@get("/v1/api-keys", **for_operation(LIST, errors=[Code.BAD_REQUEST]))
async def list_api_keys(
    actor: CallingActor,
    api_keys: Service,
    status: FromQuery[KeyStatus | None] = None,
    environment: FromQuery[Environment | None] = None,
    q: Search = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ApiKey]:
    """The tenant's keys of the caller's environment, newest first; a key without `api_keys:read` sees only itself."""
    return await api_keys.list(actor, status=status, environment=environment, q=q, limit=limit, cursor=cursor)


@get("/v1/api-keys/self", **for_operation(SELF))
async def get_self() -> KeySelf:
    """The presented key, its tenant and plan, and what is left of its limits. Any key may ask."""
    raise _answered_by_the_gate()


@post("/v1/api-keys/verify", **for_operation(VERIFY), status_code=200)
async def verify_api_key(data: JSONBody[VerifyApiKey]) -> VerifyResult:
    """Check a key that somebody presented to another service, and take the cost from that key's limits.

    A key that is not good is no error: `valid` and `code` say so.
    """
    raise _answered_by_the_gate()


@get("/v1/api-keys/{key_id:str}", **for_operation(GET))
async def get_api_key(key_id: FromPath[str], actor: CallingActor, api_keys: Service) -> ApiKey:
    """One key. Any key may look at itself."""
    return await api_keys.get(actor, key_id)


@patch("/v1/api-keys/{key_id:str}", **for_operation(UPDATE, errors=[Code.CONFLICT]))
async def update_api_key(
    key_id: FromPath[str], data: JSONBody[UpdateApiKey], actor: CallingActor, api_keys: Service
) -> Response[ChangedApiKey]:
    """Change what is given, and nothing else. A key cannot change itself; a revoked key cannot be changed (409)."""
    return _answer(await api_keys.update(actor, key_id, data), 200)


@post("/v1/api-keys/{key_id:str}/revoke", **for_operation(REVOKE), status_code=200)
async def revoke_api_key(
    key_id: FromPath[str], actor: CallingActor, api_keys: Service, data: JSONBody[NoFields | None] = None
) -> Response[ChangedApiKey]:
    """End a key for good: no request that begins after this answer passes. Revoking it again changes nothing."""
    return _answer(await api_keys.revoke(actor, key_id), 200)


@post("/v1/api-keys/{key_id:str}/regenerate", **for_operation(REGENERATE, errors=[Code.CONFLICT]), status_code=200)
async def regenerate_api_key(
    key_id: FromPath[str], actor: CallingActor, api_keys: Service, data: JSONBody[RegenerateApiKey | None] = None
) -> Response[ApiKeyWithSecret]:
    """A new secret under the same id; `key` is in this answer and never again.

    The present secret goes on for the grace period (none: it stops now); an older one stops now.
    """
    return _answer(await api_keys.regenerate(actor, key_id, data or RegenerateApiKey()), 200)


def _answer(key: Changed, status_code: int) -> Response[Changed]:
    """202 for a change that is committed, but not yet known to every node."""
    return Response(key, status_code=202 if key.confirmed is False else status_code)


def _answered_by_the_gate() -> Exception:
    # These two are declared for the OpenAPI and the permission matrix; the gate's handlers stand in front of them.
    return LookupError("the gate has no handler for this operation")


ROUTES = [
    create_api_key,
    list_api_keys,
    get_self,
    verify_api_key,
    get_api_key,
    update_api_key,
    revoke_api_key,
    regenerate_api_key,
]
