"""The slowing of guesses: too many wrong keys from one address, and only keys known to be good pass quickly.

30 failures a minute from one client address (IPv6: /64); from then on everything that is not already known to
be good is looked up at most once a second. Nobody is locked out: a good key goes on, and an address that
stops guessing is free again within a minute. (ASVS 6.1.1, 6.3.1)
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from aitbc_server.clock import US_PER_S
from aitbc_server.gate import limiter
from aitbc_server.gate.limiter import Log

MAX_FAILURES = 30

# An attacker with many addresses must not fill the memory: beyond this, the oldest is forgotten.
MAX_ADDRESSES = 100_000


class _Address:
    __slots__ = ("failures", "last_lookup_us")

    def __init__(self) -> None:
        self.failures = Log()
        self.last_lookup_us = -US_PER_S


class GuessLimiter:
    """Counts failures per client address and says whether one more lookup may be made."""

    def __init__(self, max_failures: int = MAX_FAILURES) -> None:
        self._max_failures = max_failures
        self._addresses: dict[str, _Address] = {}

    def admit(self, client_ip: str | None, now_us: int) -> bool:
        """May a credential that is not known to be good be looked up now? A yes counts as that second's lookup."""
        address = self._addresses.get(_group(client_ip))
        if address is None:
            return True
        limiter.evict(address.failures, now_us)
        # A clock that was stepped back must not silence an address for long: hence the absolute value.
        waited_us = abs(now_us - address.last_lookup_us)
        if len(address.failures) >= self._max_failures and waited_us < US_PER_S:
            return False
        address.last_lookup_us = now_us
        return True

    def failed(self, client_ip: str | None, now_us: int) -> None:
        """A credential from this address was unknown, malformed or had a wrong secret."""
        group = _group(client_ip)
        address = self._addresses.pop(group, None) or _Address()
        self._addresses[group] = address
        limiter.evict(address.failures, now_us)
        if len(address.failures) < self._max_failures:
            limiter.record(address.failures, now_us, 1)
            address.last_lookup_us = now_us
        if len(self._addresses) > MAX_ADDRESSES:
            del self._addresses[next(iter(self._addresses))]


def _group(client_ip: str | None) -> str:
    """The address itself, or an IPv6 address's /64, which one subscriber holds as a whole."""
    if client_ip is None or ":" not in client_ip:
        return client_ip or ""
    try:
        address = ip_address(client_ip)
    except ValueError:
        return client_ip
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(int(address) >> 64)
    return str(getattr(address, "ipv4_mapped", None) or address)
