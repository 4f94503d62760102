"""When and from where keys were last used, without a write for each request.

A use is a request that presented a right secret and was entitled to what it asked for: it reached the limits,
whether these let it in or not. What is refused before (revoked, disabled, expired, wrong tenant, address or scope)
is no use: a key that is not good for anything must not look as if it were in use.

Of a previous secret in its grace period every request counts, the refused ones too: what is asked there is whether any
program still holds it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, bindparam, or_, update
from sqlalchemy.orm import InstrumentedAttribute

from aitbc.schemas.api_keys import ApiKey
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import US_PER_S, Clock, Timestamp, from_ms, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.records import KeyRecord
from aitbc_server.ids import kid_of
from aitbc_server.periodic import repeating

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 1.0
FLUSH_AT_THE_END_S = 0.4
SAVE_INTERVAL_US = 60 * US_PER_S
KEYS_A_TRANSACTION = 500
# An IPv6 address with a long zone must not spoil the write for all the others.
_ADDRESS_LENGTH = 45
_MAX_ADDRESSES = 10_000

_encode = msgspec.json.Encoder().encode


class Use(NamedTuple):
    """One use: when (µs) and from which address."""

    at_us: int
    client_ip: str | None


class PreviousUse(NamedTuple):
    """A use of a previous secret. Its expiry (µs) tells it from the one that may have its place by now."""

    at_us: int
    expires_at_us: int


class LastUses:
    """Implements ``UseRecorder`` and ``LastUse``: in memory at once; in the database with the next flush for a key that
    was not used lately, else once a minute, and when the server stops. Uses may come from several threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # The hot path touches only these; a flush folds them into what is held.
        self._fresh: list[Credential] = []
        self._previous: dict[str, PreviousUse] = {}
        # Keys whose previous secret was refused since their last write.
        self._refused: set[str] = set()
        # What the database may not have yet. A key is due, or waiting because it was written within the last minute:
        # until that is over nobody tells of its next uses, which stand in its credentials.
        self._held: dict[str, Use] = {}
        self._due: set[str] = set()
        self._waiting: dict[str, list[Credential]] = {}
        self._written_at_us: dict[str, int] = {}
        # Many keys come from one address: it is held once.
        self._addresses: dict[str, str] = {}

    def used(self, credential: Credential, now_us: int, client_ip: str | None) -> None:
        """See ``UseRecorder``.

        No lock: whichever two of these lines another thread's fold comes between, the next fold finds the use. The
        address comes first: of a time that is stored, the address is not changed any more.
        """
        if client_ip is None:
            credential.used_ip = None
        else:
            credential.used_ip = self._addresses.get(client_ip) or self._new_address(client_ip)
        credential.used_at_us = now_us
        if credential.is_previous and credential.expires_at_us is not None:
            self._previous[credential.record.kid] = PreviousUse(now_us, credential.expires_at_us)
        if not credential.use_is_told:
            credential.use_is_told = True
            self._fresh.append(credential)

    def previous_refused(self, credential: Credential, now_us: int) -> None:
        """See ``UseRecorder``: no use of the key, but one of its previous secret."""
        if credential.expires_at_us is not None:
            self._previous[credential.record.kid] = PreviousUse(now_us, credential.expires_at_us)
            self._refused.add(credential.record.kid)

    def freshen(self, key: ApiKey) -> ApiKey:
        """``key`` as the database has it, with what is newer in memory put in."""
        kid = kid_of(key.id) or ""
        self._fold()
        previous, shown = self._previous.get(kid), key.previous_secret
        uses = [use] if (use := self._held.get(kid)) else []
        for use in (*uses, *map(_use_of, self._waiting.get(kid, ()))):
            key.last_used_at, key.last_used_ip = _newer(key.last_used_at, key.last_used_ip, use)
        if previous is not None and shown is not None and to_ms(shown.expires_at) == previous.expires_at_us // 1000:
            shown.last_used_at, _ = _newer(shown.last_used_at, None, Use(previous.at_us, None))
        return key

    def document_tail(self, credential: Credential) -> bytes:
        """See ``LastUse``. Whoever asks has just used the key, so there always is a use."""
        record = credential.record
        parts = (
            b',"last_used_at":',
            _json_time(credential.used_at_us or self._clock()),
            b',"last_used_ip":',
            b"null" if credential.used_ip is None else _encode(credential.used_ip),
            b',"previous_secret":',
            b"null" if record.previous_expires_at_us is None else self._previous_document(record),
            b"}",
        )
        return b"".join(parts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Flush until the block is left, then write everything."""
        async with repeating(self.flush, interval_s=FLUSH_INTERVAL_S, name="storing last use"):
            yield
        try:
            async with asyncio.timeout(FLUSH_AT_THE_END_S):
                await self.flush(everything=True)
        except Exception as error:
            logger.warning("the last use of some keys was not stored: %s", str(error) or "the database hangs")

    async def flush(self, *, everything: bool = False) -> None:
        """Write what is due, never backwards; with ``everything``, all that the database does not have."""
        now_us = self._clock()
        self._fold()
        self._end_waiting(now_us)
        if everything:
            self._end_waiting_of(*self._waiting)
        self._tell_refused(everything=everything)
        due = sorted(self._due)
        for start in range(0, len(due), KEYS_A_TRANSACTION):
            kids = due[start : start + KEYS_A_TRANSACTION]
            await self._write(kids)
            self._due.difference_update(kids)
            # Popped first, so that the oldest always comes first.
            for kid in kids:
                self._written_at_us.pop(kid, None)
                self._written_at_us[kid] = now_us

    def _new_address(self, client_ip: str) -> str:
        if len(self._addresses) >= _MAX_ADDRESSES:
            self._addresses.clear()
        self._addresses[client_ip] = client_ip
        return client_ip

    def _previous_document(self, record: KeyRecord) -> bytes:
        expires_at_us = record.previous_expires_at_us
        if expires_at_us is None or expires_at_us <= self._clock():
            return b"null"
        previous = self._previous.get(record.kid)
        used_us = record.previous_last_used_us or 0
        if previous is not None and previous.expires_at_us == expires_at_us:
            used_us = max(used_us, previous.at_us)
        used = _json_time(used_us) if used_us else b"null"
        return b'{"expires_at":%b,"last_used_at":%b}' % (_json_time(expires_at_us), used)

    def _fold(self) -> None:
        fresh = self._fresh.copy()
        del self._fresh[: len(fresh)]
        for credential in fresh:
            kid = credential.record.kid
            if kid in self._written_at_us:
                self._waiting.setdefault(kid, []).append(credential)
            else:
                self._hold(kid, credential)

    def _hold(self, kid: str, credential: Credential) -> None:
        credential.use_is_told = False
        use, held = _use_of(credential), self._held.get(kid)
        # A key's current and its previous secret are two credentials.
        if held is None or held.at_us <= use.at_us:
            self._held[kid] = use
        self._due.add(kid)

    def _end_waiting(self, now_us: int) -> None:
        """Of keys that were written a minute ago: those used since are due, the others are in the database."""
        ended = list(takewhile(lambda entry: entry[1] + SAVE_INTERVAL_US <= now_us, self._written_at_us.items()))
        for kid, _ in ended:
            del self._written_at_us[kid]
            self._end_waiting_of(kid)
            if kid not in self._due:
                self._held.pop(kid, None)
                if kid not in self._refused:
                    self._previous.pop(kid, None)

    def _tell_refused(self, *, everything: bool) -> None:
        """Those of a minute that is over, or of which nothing was written in this one, are due."""
        for kid in self._refused.copy():
            if everything or kid not in self._written_at_us:
                self._refused.discard(kid)
                self._due.add(kid)

    def _end_waiting_of(self, *kids: str) -> None:
        for kid in kids:
            for credential in self._waiting.pop(kid, ()):
                self._hold(kid, credential)

    async def _write(self, kids: Sequence[str]) -> None:
        uses = [
            {"used_kid": kid, "at": from_ms(use.at_us // 1000), "ip": (use.client_ip or "")[:_ADDRESS_LENGTH] or None}
            for kid in kids
            if (use := self._held.get(kid)) is not None
        ]
        previous = [
            {"used_kid": kid, "at": from_ms(one.at_us // 1000), "of_secret": from_ms(one.expires_at_us // 1000)}
            for kid in kids
            if (one := self._previous.get(kid)) is not None
        ]
        async with self._database.write() as session:
            connection = await session.connection()
            if uses:
                await connection.execute(_SET_LAST_USE, uses)
            if previous:
                await connection.execute(_SET_PREVIOUS_USE, previous)
            await session.commit()


def _use_of(credential: Credential) -> Use:
    return Use(credential.used_at_us, credential.used_ip)


def _newer(at: datetime | None, client_ip: str | None, use: Use) -> tuple[datetime | None, str | None]:
    used_at = from_ms(use.at_us // 1000)
    return (used_at, use.client_ip) if at is None or at < used_at else (at, client_ip)


def _later(column: InstrumentedAttribute[Timestamp | None]) -> ColumnElement[bool]:
    return or_(column.is_(None), column < bindparam("at"))


_SET_LAST_USE = (
    update(ApiKeyRow.__table__)  # type: ignore[arg-type]
    .where(ApiKeyRow.kid == bindparam("used_kid"), _later(ApiKeyRow.last_used_at))
    .values(last_used_at=bindparam("at"), last_used_ip=bindparam("ip"))
)
_SET_PREVIOUS_USE = (
    update(ApiKeyRow.__table__)  # type: ignore[arg-type]
    .where(
        ApiKeyRow.kid == bindparam("used_kid"),
        ApiKeyRow.previous_expires_at == bindparam("of_secret"),
        _later(ApiKeyRow.previous_last_used_at),
    )
    .values(previous_last_used_at=bindparam("at"))
)


# The end of a time, for every millisecond.
_MILLISECONDS = tuple(b'.%03dZ"' % number for number in range(1000))


@lru_cache(maxsize=64)
def _second(second: int) -> bytes:
    return b'"' + from_ms(second * 1000).text()[:-5].encode()


def _json_time(at_us: int) -> bytes:
    second, rest_us = divmod(at_us, US_PER_S)
    return _second(second) + _MILLISECONDS[rest_us // 1000]
