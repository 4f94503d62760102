"""An SDK in the field outlives the server that it was made for: what it does not know, it reads all the same."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from aitbc import schemas
from aitbc.schemas.api_keys import ApiKey, ApiKeyWithSecret, KeyStatus, VerifyCode, VerifyResult
from aitbc.schemas.common import Page, Response
from aitbc.schemas.jobs import Job, JobState
from aitbc.schemas.miners import Miner
from aitbc.schemas.scopes import Environment

KEY: dict[str, Any] = {
    "id": "key_0",
    "name": "n",
    "masked": "m",
    "environment": "staging",
    "preset": "auditor",
    "scopes": ["jobs:read", "jobs:price"],
    "tenant_id": "t",
    "tenant_ids": [],
    "status": "quarantined",
    "created_at": "2030-01-01T00:00:00.000Z",
    "created_by": None,
    "expires_at": None,
    "last_used_at": None,
    "last_used_ip": None,
    "allowed_ips": [],
    "limit_per_minute": None,
    "metadata": {},
    "secret_created_at": "2030-01-01T00:00:00.000Z",
    "previous_secret": None,
    "a_field_of_2031": {"any": "thing"},
}
JOB: dict[str, Any] = {
    "job_id": "job_0",
    "state": "PREEMPTED",
    "assigned_miner_id": None,
    "requested_at": "2030-01-01T00:00:00.000Z",
    "expires_at": "2030-01-01T00:15:00.000Z",
    "error": None,
    "priority": 3,
}
MINER: dict[str, Any] = {
    "miner_id": "m",
    "key_id": "key_0",
    "status": "DRAINING",
    "region": None,
    "concurrency": 1,
    "inflight": 0,
    "capabilities": {},
    "registered_at": "2030-01-01T00:00:00.000Z",
    "last_seen_at": "2030-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize(("kind", "value"), [(ApiKey, KEY), (ApiKeyWithSecret, KEY), (Job, JOB), (Miner, MINER)])
def test_values_and_fields_of_a_newer_server_decode(kind: type[Response], value: dict[str, Any]) -> None:
    """One object with a new state or a new field must not make a whole list fail."""
    page = msgspec.json.encode({"items": [value], "next_cursor": None, "total": 1})
    page_type: Any = types.GenericAlias(Page, (kind,))
    [decoded] = msgspec.json.decode(page, type=page_type).items
    assert dict(decoded).keys() == value.keys() - {"a_field_of_2031", "priority"}


def test_a_new_verify_code_decodes_and_does_not_count_as_valid() -> None:
    """A gateway that was built before a reason to refuse existed goes on refusing."""
    result = msgspec.json.decode(b'{"valid":false,"code":"GEO_BLOCKED","scopes":["jobs:price"]}', type=VerifyResult)
    assert (result.valid, result.code, result.scopes) == (False, "GEO_BLOCKED", ["jobs:price"])


def test_known_values_compare_equal_to_their_names() -> None:
    """``key.status == KeyStatus.ACTIVE`` is right also for an answer that came as text."""
    key = msgspec.convert({**KEY, "status": "active", "environment": "test"}, ApiKey)
    assert key.status == KeyStatus.ACTIVE
    assert key.environment == Environment.TEST
    assert msgspec.convert({**JOB, "state": "FAILED"}, Job).state == JobState.FAILED
    assert msgspec.convert({"valid": True, "code": "VALID"}, VerifyResult).code == VerifyCode.VALID


def answers() -> Iterator[type[Response]]:
    """Every class that answers are read into."""
    for module in pkgutil.iter_modules(schemas.__path__, "aitbc.schemas."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, Response) and each.__module__ == module.name:
                yield each


def closed(kind: Any) -> Iterator[Any]:
    """What takes a fixed set of values only, anywhere within a type."""
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        yield kind
    for part in get_args(kind) if get_origin(kind) is not Literal else ():
        yield from closed(part)


def test_no_answer_has_a_closed_set_of_values() -> None:
    """A field of an answer is never an enum or a Literal, or a strict struct: the next one would break old SDKs."""
    found = list(answers())
    assert len(found) > 15
    wrong = {
        f"{each.__name__}.{name}": kind
        for each in found
        for name, hint in get_type_hints(each, include_extras=False).items()
        for kind in closed(hint)
        if kind is not msgspec.UnsetType
    }
    assert not wrong
    assert not [each.__name__ for each in found if each.__struct_config__.forbid_unknown_fields]
