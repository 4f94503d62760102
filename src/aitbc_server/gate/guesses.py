"""The slowing of guesses: too many wrong keys from one address, and only keys known to be good pass quickly.

30 failures a minute from one client address (IPv6: /64); from then on everything that is not already known to
be good is looked up at most once a second. Nobody is locked out: a good key goes on, and an address that
stops guessing is free again within a minute. (ASVS 6.1.1, 6.3.1)
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

from aitbc_server.clock import US_PER_S, Clock
from aitbc_server.gate import limiter
from aitbc_server.gate.limiter import Log

MAX_FAILURES = 30

# An attacker with many addresses must not fill the memory: beyond this, the one that failed longest ago is forgotten.
MAX_ADDRESSES = 100_000


class Address:
    """What is known of one client address. ``under_way`` lookups may still fail; ``waiting`` hope that they do not."""

    __slots__ = ("failures", "group", "last_lookup_us", "last_us", "under_way", "waiting")

    def __init__(self, group: str) -> None:
        self.group = group
        self.failures = Log()
        self.last_us = 0
        self.last_lookup_us = 0
        self.under_way = 0
        self.waiting: deque[asyncio.Future[None]] | None = None


class GuessLimiter:
    """Says whether a credential that is not known to be good may be looked up, and hears how it went.

    ``said_by`` names who says that ``client_ip`` is the address, where we did not see it ourselves: what they say is
    held against nobody else's requests. Where they say none ("") all that they ask about counts together.
    """

    def __init__(self, max_failures: int = MAX_FAILURES, max_addresses: int = MAX_ADDRESSES) -> None:
        self._max_failures = max_failures
        self._max_addresses = max_addresses
        self._addresses: OrderedDict[str, Address] = OrderedDict()

    async def begin(self, client_ip: str, clock: Clock, said_by: str = "") -> Address | None:
        """Wait until a lookup may be made; None where it may not. Whoever got an address calls ``end`` with it.

        As many lookups as there may still be failures run side by side. The next one waits to see how they go: it
        neither adds to a flood of guesses nor is refused for guesses that turn out to be right.
        """
        address = self._address(client_ip, said_by)
        while True:
            now_us = clock()
            _evict(address, now_us)
            failures = len(address.failures)
            if failures >= self._max_failures:
                # A clock that was stepped back must not silence an address for long: hence the absolute value.
                if abs(now_us - address.last_lookup_us) < US_PER_S:
                    return None
                break
            if failures + address.under_way < self._max_failures:
                break
            await _turn(address)
        address.last_lookup_us = now_us
        address.under_way += 1
        return address

    def end(self, address: Address, now_us: int, *, failed: bool) -> None:
        """A lookup is over. ``failed``: the credential was unknown or had a wrong secret."""
        address.under_way -= 1
        if failed:
            self._record(address, now_us)
        elif self._is_held(address) and not address.under_way and not address.failures.times:
            del self._addresses[address.group]
        _wake(address, everybody=len(address.failures) >= self._max_failures)

    def malformed(self, client_ip: str, now_us: int, said_by: str = "") -> bool:
        """Count a failure that needed no lookup, as the text cannot be a key; False where the address is slowed down.

        It leaves the address its one lookup a second: a flood of nonsense must not keep a good key out that comes
        from the same address.
        """
        address = self._address(client_ip, said_by)
        _evict(address, now_us)
        is_slowed = len(address.failures) >= self._max_failures
        self._record(address, now_us)
        if len(address.failures) >= self._max_failures:
            _wake(address, everybody=True)
        return not is_slowed

    def _address(self, client_ip: str, said_by: str) -> Address:
        group = f"{said_by} {_group(client_ip)}" if said_by else _group(client_ip)
        address = self._addresses.get(group)
        if address is None:
            address = self._addresses[group] = Address(group)
            if len(self._addresses) > self._max_addresses:
                self._addresses.popitem(last=False)
        return address

    def _is_held(self, address: Address) -> bool:
        """Whether it was not forgotten meanwhile."""
        return self._addresses.get(address.group) is address

    def _record(self, address: Address, now_us: int) -> None:
        _evict(address, now_us)
        if self._is_held(address):
            self._addresses.move_to_end(address.group)
        # Beyond the limit a failure takes the place of the oldest: it still counts, but an address costs the same
        # memory however long it goes on.
        log = address.failures
        if len(log) >= self._max_failures:
            del log.times[: log.head + 1]
            log.head = 0
        limiter.record(log, address.last_us, 1)


async def _turn(address: Address) -> None:
    """Wait until a lookup that is under way has ended."""
    if address.waiting is None:
        address.waiting = deque()
    turn = asyncio.get_running_loop().create_future()
    address.waiting.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        # Who gives up passes the turn on.
        if turn.done() and not turn.cancelled():
            _wake(address, everybody=False)
        raise


def _wake(address: Address, *, everybody: bool) -> None:
    waiting = address.waiting
    while waiting:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            if not everybody:
                return


def _evict(address: Address, now_us: int) -> None:
    if now_us < address.last_us:
        # The clock was stepped back. Failures at times that it has not reached yet would count for too long.
        address.failures = Log()
    address.last_us = now_us
    limiter.evict(address.failures, now_us)


def _group(client_ip: str) -> str:
    """The address itself, or an IPv6 address's /64, which one subscriber holds as a whole."""
    if ":" not in client_ip:
        return client_ip
    try:
        address = ip_address(client_ip)
    except ValueError:
        return client_ip
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{int(address) >> 64:x}::/64"
    return str(getattr(address, "ipv4_mapped", None) or address)
