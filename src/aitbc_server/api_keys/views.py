"""What is answered and recorded of keys."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret, ChangedApiKey
from aitbc_server.api_keys import repository
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import Timestamp
from aitbc_server.wire import to_builtins

# Use is no change, and belongs into no audit row.
_NOT_RECORDED = ("last_used_at", "last_used_ip")

Document = dict[str, Any]


class LastUse(Protocol):
    """Whoever knows of uses that are not in the database yet."""

    def freshen(self, key: ApiKey) -> ApiKey:
        """``key`` with what is newer put in."""
        ...


async def shown(session: AsyncSession, row: ApiKeyRow, last_use: LastUse, at: Timestamp) -> ApiKey:
    """A key as it is answered."""
    return (await shown_all(session, [row], last_use, at))[0]


async def shown_all(session: AsyncSession, rows: list[ApiKeyRow], last_use: LastUse, at: Timestamp) -> list[ApiKey]:
    """Keys as they are answered; one query for the further tenants of all of them."""
    tenants = await repository.granted_tenants(session, [row.kid for row in rows])
    return [last_use.freshen(api_key(row, tenants.get(row.kid, ()), at)) for row in rows]


def document(key: ApiKey) -> Document:
    """A key as the audit log keeps it: never a secret."""
    return {field: value for field, value in to_builtins(key).items() if field not in _NOT_RECORDED}


def difference(before: Document, after: Document) -> tuple[Document, Document]:
    """Of two documents of a key, the fields in which they differ."""
    fields = [field for field in after if before[field] != after[field]]
    return {field: before[field] for field in fields}, {field: after[field] for field in fields}


def changed(key: ApiKey, *, confirmed: bool) -> ChangedApiKey:
    """The answer to a change; unconfirmed, it says so."""
    answer = ChangedApiKey(**{field: key[field] for field in key})
    if not confirmed:
        answer.confirmed = False
    return answer


def with_secret(key: ApiKey, secret: str, *, confirmed: bool) -> ApiKeyWithSecret:
    """The one answer that holds the secret."""
    answer = ApiKeyWithSecret(**{field: key[field] for field in key}, key=secret)
    if not confirmed:
        answer.confirmed = False
    return answer
