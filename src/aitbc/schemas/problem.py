"""The one error shape (RFC 9457, ``application/problem+json``)."""

from __future__ import annotations

import msgspec

from aitbc.schemas.common import Response


class FieldError(Response):
    """One invalid field of a request: ``field`` is a dotted path such as ``constraints.min_vram_gb``."""

    field: str
    message: str


class Problem(Response, omit_defaults=True):
    """What every error answers with. ``type`` is ``urn:aitbc:error:<code>``; ``errors`` only with 422."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
