"""What people recognise a job by: the name, the type or the model that its payload has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.jobs.model import JobRow

#: Fields of a payload, the one that says the most first.
_FIELDS = ("name", "type", "model")
_MAX_LENGTH = 100


async def labels(session: AsyncSession, job_ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """The words of each of these jobs, by id, with one query; the payloads stay in the database."""
    if not job_ids:
        return {}
    fields = [func.substr(JobRow.payload[field].as_string(), 1, _MAX_LENGTH) for field in _FIELDS]
    rows = await session.execute(select(JobRow.id, *fields).where(JobRow.id.in_(job_ids)))
    return {job_id: _words(values) for job_id, *values in rows}


def label_of(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of a job whose payload is at hand."""
    return _words([str(payload.get(field) or "")[:_MAX_LENGTH] for field in _FIELDS])


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    """Those that are there and read as words: an object or a list in their place says nothing."""
    texts = [str(each).strip() for each in values if each is not None]
    return tuple(text for text in texts if text and not text.startswith(("{", "[")))
