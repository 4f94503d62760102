"""What happens between a call and its result: the request, its retries, the answer. Sans-IO.

``Exchange.perform`` is a generator. It yields each request to send and each wait to keep, is sent the
outcome, and returns the object or raises. The shells of ``_transport.py`` drive it, blocking or awaiting, so
that both clients share every decision made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlencode

from aitbc import _answers as answers
from aitbc._call import Call, Flow, Reply, Send, Sleep, encode
from aitbc._config import Config
from aitbc._version import __version__
from aitbc.exceptions import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    PermissionDeniedError,
)

T = TypeVar("T")

#: A wait that is asked for by the server and is longer than this is the caller's to plan.
MAX_RETRY_AFTER_S = 60.0
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0

_CONFLICT = 409
_TOO_MANY_REQUESTS = 429
_GATEWAY_ERRORS = frozenset({502, 503, 504})

# RFC 9110, section 5.5: visible characters, with spaces and tabs only between them. Beyond ASCII the
# programs on the way disagree about the encoding.
_SENDABLE = re.compile(r"[!-~](?:[ -~\t]*[!-~])?|")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Turns calls into requests by ``config``. ``random`` gives [0, 1), ``new_id`` an idempotency key."""

    config: Config
    random: Callable[[], float]
    new_id: Callable[[], str]

    def perform(self, call: Call[T]) -> Flow[T]:
        """Send ``call``, again where that helps and does no harm, and return what it is answered with.

        Raises the exception of the last attempt: APIConnectionError, APIStatusError or a subclass of them,
        or AITBCError for an answer that cannot be read.
        """
        if call.fresh_idempotency_key:
            call = replace(call, idempotency_key=self.new_id())
        request = self.request(call)
        retries = 0
        while True:
            outcome = yield request
            if isinstance(outcome, Reply) and 200 <= outcome.status < 300:
                return answers.read(call, outcome)
            delay_s = self.retry_delay_s(call, outcome, retries)
            if delay_s is None:
                raise outcome if isinstance(outcome, APIConnectionError) else answers.error(outcome)
            retries += 1
            yield Sleep(delay_s)

    def request(self, call: Call[object]) -> Send:
        """The HTTP request for ``call``. Raises what the server would answer to what no header can carry."""
        config = self.config
        headers = {
            "X-API-Key": _header(config.api_key, AuthenticationError, "invalid_api_key", "the API key"),
            "Accept": "application/json",
            "User-Agent": f"aitbc-python/{__version__}",
        }
        if config.tenant_id is not None:
            headers["X-Tenant-ID"] = _header(
                config.tenant_id, PermissionDeniedError, "tenant_mismatch", "the tenant id"
            )
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = _header(
                call.idempotency_key, BadRequestError, "bad_request", "the idempotency key"
            )
        content = None
        if call.body is not None:
            content = encode(call.body)
            headers["Content-Type"] = "application/json"
        return Send(
            method=call.method,
            url=config.base_url + call.path + (f"?{urlencode(call.query)}" if call.query else ""),
            headers=headers,
            content=content,
            timeout_s=config.timeout_s,
            read_timeout_s=None if config.timeout_s is None else config.timeout_s + call.extra_wait_s,
        )

    def retry_delay_s(self, call: Call[object], outcome: Reply | APIConnectionError, retries: int) -> float | None:
        """How long to wait before ``call`` is sent again, or None: not again."""
        if retries >= self.config.max_retries or not _may_retry(call, outcome, retries):
            return None
        jitter = self.random()
        asked_s = answers.retry_after_s(outcome) if isinstance(outcome, Reply) else None
        if asked_s is not None:
            # Never earlier than asked, and not everybody at the same moment.
            return asked_s + jitter * FIRST_BACKOFF_S if asked_s <= MAX_RETRY_AFTER_S else None
        return min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0**retries) * (1 + jitter) / 2


def _may_retry(call: Call[object], outcome: Reply | APIConnectionError, retries: int) -> bool:
    repeatable = call.idempotent or call.idempotency_key is not None
    if isinstance(outcome, APIConnectionError):
        return repeatable
    if outcome.status == _TOO_MANY_REQUESTS:
        return True  # A refused request did nothing and consumed nothing.
    if outcome.status == _CONFLICT:
        # After an attempt whose answer was lost, the server may still be at work on that one.
        return call.idempotency_key is not None and retries > 0
    return repeatable and outcome.status in _GATEWAY_ERRORS


def _header(value: str, refusal: type[APIStatusError], code: str, name: str) -> str:
    """``value`` if a header can carry it. The message never shows the value: it may be a secret."""
    if _SENDABLE.fullmatch(value):
        return value
    raise refusal(
        f"{name} cannot be sent: it holds a line break, a space at its start or end, or a character that is "
        "not ASCII. Was it copied or read from a file with more than itself?",
        code=code,
    )
