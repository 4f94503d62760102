"""Which passwords are taken: long ones that nobody guesses, whatever they are made of (ASVS 6.2.1, 6.2.5)."""

from __future__ import annotations

from typing import Protocol

from aitbc_server.errors import invalid
from aitbc_server.users.common_passwords import is_common

MIN_LENGTH = 15
#: Above the 64 that ASVS 6.2.9 asks for, and any password manager's; there must be some end.
MAX_LENGTH = 1000

_PRODUCT = "aitbc"
_SHORTEST_OWN_WORD = 4


class Breaches(Protocol):
    """Knows passwords that have been seen in breaches."""

    async def contains(self, password: str) -> bool:
        """Whether this is one."""
        ...


class PasswordRules:
    """Says what is wrong with a new password; ``breaches`` is asked last, where there is one."""

    def __init__(self, breaches: Breaches | None = None) -> None:
        self._breaches = breaches

    async def check(self, field: str, password: str, *, email: str) -> None:
        """Raises ``validation_error`` on ``field`` for a password that is not taken for this person."""
        found = problem(password, email=email)
        if found is None and self._breaches is not None and await self._breaches.contains(password):
            found = "has been seen in a data breach of another site, so it is tried early; choose another one"
        if found is not None:
            raise invalid(field, found)


def problem(password: str, *, email: str) -> str | None:
    """What is wrong with it, as the end of a sentence that begins with "The password"; None where nothing is."""
    if len(password) < MIN_LENGTH:
        return f"must have {MIN_LENGTH} characters or more; four or five words in a row are easy to remember"
    if len(password) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    if not _is_text(password):
        return "has a character that no keyboard types"
    if any(word in password.lower() for word in _own_words(email)):
        return "must not contain your e-mail address, or the name of this product"
    if is_common(password):
        return "is too easy to guess: it is made of very common passwords; add a few words that have nothing in common"
    return None


def _own_words(email: str) -> list[str]:
    local = email.lower().partition("@")[0]
    return [word for word in (email.lower(), local, _PRODUCT) if len(word) >= _SHORTEST_OWN_WORD]


def _is_text(password: str) -> bool:
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return True
