"""E-mail addresses: what may stand in a mail's header and in the dialogue with a mail server."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address

from aitbc.schemas.common import UNSEEN

MAX_LENGTH = 254
_MAX_LOCAL_LENGTH = 64

# Deliberately less than RFC 5321 allows: no quoted local parts, no comments, no address literals. No mailbox of a
# person looks like that, and each is a way to say one thing to a header and another to a mail server.
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f-\x9f@<>()\[\]\\,;:\"]+")
_UNSEEN = re.compile(f"[{UNSEEN}\U000e0000-\U000e0fff]")
_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")


def check_address(text: str) -> str:
    """The one address in ``text``, as it is. Raises ValueError for anything else."""
    local, at, domain = text.rpartition("@")
    # What cannot be seen lets one address look like another, and a right-to-left mark turns the rest of the line.
    seen = local.isprintable() and _UNSEEN.search(local) is None
    plain = seen and _LOCAL.fullmatch(local) is not None and _dots_stand_apart(local)
    good_local = len(local) <= _MAX_LOCAL_LENGTH and plain
    labels = domain.split(".")
    good_domain = all(len(label) <= 63 and _LABEL.fullmatch(label) is not None for label in labels)
    if not at or len(text) > MAX_LENGTH or not good_local or not good_domain:
        raise ValueError("not an e-mail address")
    return text


def parse_sender(text: str) -> Address:
    """``no-reply@example.com`` or ``AITBC <no-reply@example.com>``. Raises ValueError."""
    name, bracket, rest = text.rpartition("<")
    if bracket and not rest.endswith(">"):
        raise ValueError("no > at the end")
    address = check_address(rest[:-1] if bracket else text.strip())
    shown = name.strip().strip('"')
    if not shown.isprintable():
        raise ValueError("a control character")
    try:
        return Address(shown, addr_spec=address)
    except (MessageError, ValueError) as error:
        raise ValueError("not an e-mail address") from error


def _dots_stand_apart(local: str) -> bool:
    return not local.startswith(".") and not local.endswith(".") and ".." not in local
