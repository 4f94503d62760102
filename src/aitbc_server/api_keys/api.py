"""The routes of API keys."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import Parameter

from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret, CreateApiKey
from aitbc.schemas.common import Page
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.gate.operations import Operation
from aitbc_server.pagination import DEFAULT_LIMIT, MAX_LIMIT
from aitbc_server.routing import for_operation

CREATE = Operation("api_keys.create", Scope.API_KEYS_WRITE)
LIST = Operation("api_keys.list", Scope.API_KEYS_READ, own_key=True)


@post("/v1/api-keys", **for_operation(CREATE))
async def create_api_key(
    data: CreateApiKey, actor: NamedDependency[Actor], api_keys: NamedDependency[ApiKeyService]
) -> ApiKeyWithSecret:
    """Create an API key. ``key`` is in this answer and never again."""
    return await api_keys.create(actor, data)


@get("/v1/api-keys", **for_operation(LIST))
async def list_api_keys(
    actor: NamedDependency[Actor],
    api_keys: NamedDependency[ApiKeyService],
    limit: Annotated[int, Parameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[ApiKey]:
    """The tenant's keys, newest first; a key without ``api_keys:read`` sees only itself."""
    return await api_keys.list(actor, limit=limit, cursor=cursor)


ROUTES = [create_api_key, list_api_keys]
