"""Names that people give: to keys, tenants, plans, themselves. Each check raises ``validation_error``."""

from __future__ import annotations

import re

from aitbc.schemas.common import UNPRINTABLE, UNSEEN
from aitbc_server.errors import invalid

MAX_NAME_LENGTH = 100

# Names end up in logs, tables and terminals; a text that turns its direction could pass for another.
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}\ud800-\udfff]")
# Beyond what a schema can say in every dialect: the invisible "tags" of plane 14.
_SEEN = re.compile(f"[^{UNSEEN}\U000e0000-\U000e0fff]")


def check_name(name: str, *, field: str = "name") -> str:
    """A name as it is: it has something to see, and nothing that disturbs what it is printed in."""
    if _UNPRINTABLE.search(name):
        raise invalid(field, "must not hold control characters")
    if _SEEN.search(name) is None:
        raise invalid(field, "must have a character that can be seen")
    return name


def check_title(name: str, *, field: str = "name") -> str:
    """A name of up to 100 characters, where no schema has counted them."""
    if len(name) > MAX_NAME_LENGTH:
        raise invalid(field, f"must have at most {MAX_NAME_LENGTH} characters")
    return check_name(name, field=field)
