"""The slowing of guesses: too many wrong keys from one address, and only keys known to be good pass quickly.

30 failures a minute from one client address (IPv6: /64); from then on everything that is not already known to
be good is looked up at most once a second. Nobody is locked out: a good key goes on, and an address that
stops guessing is free again within a minute. (ASVS 6.1.1, 6.3.1)
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

import msgspec

from aitbc_server.clock import US_PER_S
from aitbc_server.gate import limiter
from aitbc_server.gate.limiter import Log

MAX_FAILURES = 30

# An attacker with many addresses must not fill the memory: beyond this, the one that failed longest ago is forgotten.
MAX_ADDRESSES = 100_000


class _Address(msgspec.Struct, gc=False):
    failures: Log = msgspec.field(default_factory=Log)
    last_us: int = 0
    last_lookup_us: int = 0


class GuessLimiter:
    """Counts failures per client address and says whether one more lookup may be made.

    An address of None is nobody's: nothing is counted against it and nothing is refused.
    """

    def __init__(self, max_failures: int = MAX_FAILURES, max_addresses: int = MAX_ADDRESSES) -> None:
        self._max_failures = max_failures
        self._max_addresses = max_addresses
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def admit(self, client_ip: str | None, now_us: int) -> bool:
        """May a credential that is not known to be good be looked up now? A yes counts as that second's lookup."""
        if client_ip is None:
            return True
        address = self._addresses.get(_group(client_ip))
        if address is None:
            return True
        _evict(address, now_us)
        # A clock that was stepped back must not silence an address for long: hence the absolute value.
        waited_us = abs(now_us - address.last_lookup_us)
        if len(address.failures) >= self._max_failures and waited_us < US_PER_S:
            return False
        address.last_lookup_us = now_us
        return True

    def failed(self, client_ip: str | None, now_us: int) -> None:
        """A credential from this address was unknown, malformed or had a wrong secret."""
        if client_ip is None:
            return
        group = _group(client_ip)
        address = self._addresses.setdefault(group, _Address(last_lookup_us=now_us))
        self._addresses.move_to_end(group)
        _evict(address, now_us)
        # Beyond the limit nothing is added, so that an address costs the same memory however long it goes on, but
        # the failure still counts: it takes the place of the oldest.
        log = address.failures
        if len(log) >= self._max_failures:
            del log.times[: log.head + 1]
            log.head = 0
        limiter.record(log, address.last_us, 1)
        if len(self._addresses) > self._max_addresses:
            self._addresses.popitem(last=False)


def _evict(address: _Address, now_us: int) -> None:
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
