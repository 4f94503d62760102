"""Where the numbers come from: each is exact, whoever counts."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Histogram

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import Receive, Reply, Scope, Send
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.own_operations import SELF
from aitbc_server.gate.store import ALLOWED
from aitbc_server.metrics.sampling import Sampled
from aitbc_server.settings import SettingError, Settings

USAGE_ID = ("acme", "live", "k" * 12)


def test_only_what_was_allowed_is_allowed() -> None:
    """Refusals are counted elsewhere, and what an earlier run counted is not counted again."""
    counter = UsageCounter()
    counter.restore("run_before", 0, {(USAGE_ID, "self", ALLOWED): 7})
    for outcome in (ALLOWED, ALLOWED, "expired_api_key"):
        counter.add(1, USAGE_ID, "self", outcome)
    assert counter.allowed() == {"self": 2}
    counter.add(2, USAGE_ID, "self", ALLOWED)
    assert counter.allowed() == {"self": 3}


def test_an_empty_cache_has_no_keys() -> None:
    """The number of cached keys begins at 0."""
    assert len(CredentialCache()) == 0


async def test_one_request_in_so_many_is_measured() -> None:
    """The first and every third after it are measured, and all are served."""

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        scope[CONTEXT] = Context("req_1", SELF, None)
        served.append(scope)

    served: list[Scope] = []
    registry = CollectorRegistry()
    sampled = Sampled(app, Histogram("took", "Seconds.", ["operation"], registry=registry), every=3)
    for _ in range(7):
        await sampled({"type": "http"}, None, None)  # type: ignore[arg-type]
    assert len(served) == 7
    assert registry.get_sample_value("took_count", {"operation": SELF.id}) == 3


async def test_a_request_is_drawn_once_whichever_way_it_is_answered() -> None:
    """Every second of both kinds is measured, from when it was first asked about; each is replied to once."""

    class Half:
        """Answers every request early that is not of the event loop; those wait first."""

        is_early_anywhere = False

        def answer_early(self, scope: Scope, reply: Reply) -> None:
            """See ``AnswersEarly``."""
            scope[CONTEXT] = Context("req_1", SELF, None)
            reply((200, [], b"") if scope["early"] else None)

        async def __call__(self, *_: object) -> None:
            """See ASGI."""

    registry = CollectorRegistry()
    sampled = Sampled(Half(), Histogram("took", "Seconds.", ["operation"], registry=registry), every=2)
    replies: list[Answer | None] = []
    for number in range(40):
        scope: Scope = {"type": "http", "early": number // 2 % 2 == 0}
        sampled.answer_early(scope, replies.append)
        if replies[-1] is None:
            await asyncio.sleep(0.002)
            await sampled(scope, None, None)  # type: ignore[arg-type]
    assert [reply is not None for reply in replies] == [number // 2 % 2 == 0 for number in range(40)]
    assert registry.get_sample_value("took_count", {"operation": SELF.id}) == 20
    took_s = registry.get_sample_value("took_sum", {"operation": SELF.id})
    assert took_s is not None
    assert took_s > 10 * 0.002


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("127.0.0.1", 1))],
)
def test_the_address_is_read(text: str, address: tuple[str, int]) -> None:
    """An address of either version, and a port."""
    assert Settings.from_env({"AITBC_METRICS_ADDRESS": text}).metrics_address == address


@pytest.mark.parametrize("text", ["9464", "::1:9464", "metrics.internal:9464", "127.0.0.1:", "127.0.0.1:65536"])
def test_a_wrong_address_is_named(text: str) -> None:
    """What is no address and port is refused, with what was expected."""
    with pytest.raises(SettingError, match="AITBC_METRICS_ADDRESS: expected an IP address and a port"):
        Settings.from_env({"AITBC_METRICS_ADDRESS": text})
