"""Passwords at rest: Argon2id over a keyed digest, computed beside the requests, never many at once.

Argon2id with 19 MiB, 2 passes and 1 lane is what OWASP's password storage cheat sheet asks for (ASVS 11.4.2). The
digest under it is keyed with the installation's secret key, as NIST SP 800-63B (3.1.1.2) recommends: a copy of the
database alone is no ground for guessing. It also gives Argon2 32 bytes whatever the length, so that nothing is cut off:
a password is taken exactly as it was received, without folding or normalising (ASVS 6.2.8).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from aitbc_server.errors import Code, DomainError
from aitbc_server.secret_keys import SecretKeys

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

#: Each takes its memory and a core for some 30 ms: more at once would starve the requests beside them.
AT_ONCE = 2
#: Who comes when so many wait would wait for most of a second: they are asked to come again instead.
MAX_WAITING = 32

_PURPOSE = "password-v1"
_SALT_BYTES, _HASH_BYTES = 16, 32

T = TypeVar("T")


class Verified(msgspec.Struct, frozen=True):
    """Whether the password was right, and whether it should be hashed anew: with present parameters, the newest key."""

    ok: bool
    outdated: bool = False


class PasswordHashes:
    """Hashes and verifies passwords. Raises ``unavailable`` where too many wait already."""

    def __init__(
        self,
        secret_keys: SecretKeys,
        *,
        memory_kib: int = MEMORY_KIB,
        passes: int = PASSES,
        at_once: int = AT_ONCE,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._secret_keys = secret_keys
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=LANES, hash_len=_HASH_BYTES, type=Type.ID
        )
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + max_waiting
        self._under_way = 0
        self._nobodys = _nobodys(secret_keys.newest, memory_kib, passes)

    async def hash(self, password: str) -> str:
        """What is stored: the secret key's version, then Argon2's own text with its parameters and a fresh salt."""
        version = self._secret_keys.newest
        digest = self._digest(password, version)
        assert digest is not None
        return f"{version}{await self._computed(lambda: self._hasher.hash(digest))}"

    async def verify(self, stored: str | None, password: str) -> Verified:
        """Whether ``password`` is the one that was stored.

        Where nothing is stored, or nothing that can be right, the same work is done all the same: how long it takes
        does not tell whether there is such an account (ASVS 6.3.8).
        """
        version, dollar, argon2 = (stored or self._nobodys).partition("$")
        digest = self._digest(password, version)
        if digest is None:
            # The secret key of that time is gone: nobody can say what the password was.
            return await self.verify(None, password)
        if not await self._computed(lambda: self._is_right(dollar + argon2, digest)):
            return Verified(ok=False)
        outdated = version != self._secret_keys.newest or self._hasher.check_needs_rehash(dollar + argon2)
        return Verified(ok=True, outdated=outdated)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the threads go when the block is left."""
        try:
            yield
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _digest(self, password: str, version: str) -> bytes | None:
        key = self._secret_keys.derive(_PURPOSE, version)
        # Half a surrogate pair cannot be typed, but can be sent: it is a wrong password like any other.
        return None if key is None else hmac.digest(key, password.encode("utf-8", "surrogatepass"), "sha256")

    def _is_right(self, argon2: str, digest: bytes) -> bool:
        try:
            return self._hasher.verify(argon2, digest)
        except (VerificationError, InvalidHashError):
            return False

    async def _computed(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._most:
            raise DomainError(
                Code.UNAVAILABLE,
                "Too many people are signing in at this moment. Try again in a few seconds.",
                log="too many passwords wait to be checked",
                headers={"retry-after": "2"},
            )
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _nobodys(version: str, memory_kib: int, passes: int) -> str:
    """A hash of no password at all, with the parameters that every other has."""
    salt, tag = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"{version}$argon2id$v=19$m={memory_kib},t={passes},p={LANES}${salt}${tag}"
