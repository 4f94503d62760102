"""Asking Have I Been Pwned whether a password is in a known breach (ASVS 6.2.12). Off unless a setting turns it on.

The service learns the first 5 of the 40 hexadecimal digits of the password's SHA-1, which hundreds of passwords share,
and answers with all that begin so, padded (https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange).
"""

from __future__ import annotations

import hashlib
import logging

import httpx2

logger = logging.getLogger(__name__)

#: The only host that this ever speaks to (ASVS 13.2.4).
SERVICE_URL = "https://api.pwnedpasswords.com"
TIMEOUT_S = 2.0

_PREFIX_LENGTH = 5
_MAX_ANSWER_BYTES = 1_000_000


class BreachedPasswords:
    """Knows whether a password has been seen in a breach."""

    def __init__(self, service_url: str = SERVICE_URL, *, timeout_s: float = TIMEOUT_S) -> None:
        self._service_url = service_url
        self._timeout_s = timeout_s

    async def contains(self, password: str) -> bool:
        """Whether it is known. A service that does not answer in time knows nothing: the bundled list still holds.

        Nobody is kept from changing a password because somebody else's server is down (ASVS 16.5.2).
        """
        # SHA-1 is what the service is asked by; nothing rests on it.
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            answer = await self._range(digest[:_PREFIX_LENGTH])
        except (httpx2.HTTPError, ValueError) as error:
            logger.warning("breached passwords: the service could not be asked: %s", str(error) or type(error).__name__)
            return False
        return digest[_PREFIX_LENGTH:] in _known(answer)

    async def _range(self, prefix: str) -> str:
        async with (
            httpx2.AsyncClient(timeout=self._timeout_s, follow_redirects=False) as client,
            client.stream("GET", f"{self._service_url}/range/{prefix}", headers={"add-padding": "true"}) as response,
        ):
            response.raise_for_status()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
            return body.decode("ascii")


def _known(answer: str) -> set[str]:
    """The suffixes that were seen. What is there for padding was seen 0 times."""
    entries = (line.partition(":") for line in answer.splitlines())
    return {suffix for suffix, _, times in entries if times.strip() not in {"", "0"}}
