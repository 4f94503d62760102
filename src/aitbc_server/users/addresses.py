"""E-mail addresses as accounts have them."""

from __future__ import annotations

from aitbc_server.errors import DomainError, invalid
from aitbc_server.mail.addresses import check_address


def known_form(text: str) -> str | None:
    """The address as accounts have it; None for text that is none, which no account has."""
    try:
        return clean(text)
    except DomainError:
        return None


def clean(text: str) -> str:
    """The address without spaces around it, in lower case. Raises ``validation_error`` on ``email``."""
    try:
        return check_address(text.strip().lower())
    except ValueError:
        raise invalid("email", "must look like ann@example.com") from None
