"""Refusals in the log: who was turned away and why, without a secret, and never so many that they do harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from tests.gate.factories import key, tenant
from tests.gate.served import Served

from aitbc_server.errors import Code
from aitbc_server.gate import refusals
from aitbc_server.gate.context import Context
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.refusals import REFUSALS, RefusalLog
from aitbc_server.problem import STATUS

KEY = "the-right-key"


@pytest.fixture
def served() -> Served:
    """A gate with one key of two requests a minute."""
    made = Served()
    made.add_key(KEY, key(tenant(limit=2), scopes=["jobs:read", "api_keys:verify"]))
    return made


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What is logged of refusals."""
    kept, logger = _Kept(), logging.getLogger(refusals.__name__)
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


def told(record: logging.LogRecord) -> dict[str, str | None]:
    """The fields of a line; None for those that it leaves out."""
    names = ("code", "key_id", "tenant_id", "client_ip", "operation", "request_id")
    return {name: getattr(record, name, None) for name in names}


async def test_a_refused_request_leaves_a_line(served: Served, lines: list[logging.LogRecord]) -> None:
    """ASVS 16.3.1, 16.3.2: why, whose key, from where, for what, and the id that the caller was told."""
    answer = await served.call("POST", "/v1/jobs", KEY)
    assert answer.status == 403
    (line,) = lines
    assert (line.levelno, line.getMessage()) == (logging.INFO, "refused")
    assert told(line) == {
        "code": "insufficient_scope",
        "key_id": "key_kid000000001",
        "tenant_id": "alice",
        "client_ip": "192.0.2.1",
        "operation": "jobs.create",
        "request_id": answer.headers["x-request-id"],
    }


async def test_a_stranger_leaves_a_line_without_what_they_sent(served: Served, lines: list[logging.LogRecord]) -> None:
    """ASVS 16.3.1: no key is known, and neither the presented one nor any other text of the caller's is written."""
    await served.get("/v1/jobs")
    await served.get("/v1/jobs", "a-secret-of-somebody", ("x-tenant-id", "a-secret-of-somebody"))
    await served.get("/a-secret-of-somebody", "one", ("authorization", "Bearer two"))
    assert [told(line)["code"] for line in lines] == ["missing_api_key", "invalid_api_key", "ambiguous_credentials"]
    assert {told(line)["key_id"] for line in lines} == {None}
    assert "a-secret-of-somebody" not in " ".join(str(vars(line)) for line in lines)


async def test_requests_over_the_limit_leave_lines(served: Served, lines: list[logging.LogRecord]) -> None:
    """And allowed ones none."""
    answers = [await served.get("/v1/jobs", KEY) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [told(line)["code"] for line in lines] == ["rate_limit_exceeded"]


async def test_a_key_that_another_service_asked_about_leaves_a_line(
    served: Served, lines: list[logging.LogRecord]
) -> None:
    """ASVS 16.3.1: with the address that the service told, not the service's own."""
    served.add_key("revoked", key(tenant(), kid="kid000000002", revoked=True))
    for asked in ("revoked", "unknown"):
        body = b'{"key":"%b","client_ip":"198.51.100.7"}' % asked.encode()
        assert (await served.call("POST", "/v1/api-keys/verify", KEY, body=body)).status == 200
    assert [(told(line)["code"], told(line)["key_id"]) for line in lines] == [
        ("revoked_api_key", "key_kid000000002"),
        ("invalid_api_key", None),
    ]
    assert {told(line)["client_ip"] for line in lines} == {"198.51.100.7"}


def context(number: int = 1) -> Context:
    return Context(f"req_{number}", Operation("jobs.list"), "192.0.2.1")


async def test_a_flood_leaves_a_few_lines_and_a_number(lines: list[logging.LogRecord]) -> None:
    """ASVS 16.3.2: ten lines, then one that says how many more there were; the next second starts anew."""
    log = RefusalLog(second_s=0.05)
    for number in range(1000):
        log.note(Code.INVALID_API_KEY, context(number))
    assert [told(line)["request_id"] for line in lines] == [f"req_{number}" for number in range(10)]
    await asyncio.sleep(0.15)
    assert lines[-1].getMessage() == "990 more refusals in this second are not shown"
    assert lines[-1].levelno == logging.WARNING
    log.note(Code.INVALID_API_KEY, context())
    assert len(lines) == 12
    await asyncio.sleep(0.15)
    assert len(lines) == 12


@pytest.mark.parametrize("code", Code)
async def test_what_is_a_refusal(code: Code, lines: list[logging.LogRecord]) -> None:
    """All that is answered with 401, 403 and 429, and more than one credential; mistakes and failures are not."""
    RefusalLog().note(code, context())
    expected = STATUS[code] in {401, 403, 429} or code is Code.AMBIGUOUS_CREDENTIALS
    assert (len(lines) == 1) == expected == (code in REFUSALS)
