"""Accounts of people, as the operator's commands print them."""

from __future__ import annotations

from typing import Annotated

from aitbc.schemas.common import Response, Time, known


class User(Response):
    """A person with a sign-in. Who is ``invited`` has not chosen a password yet."""

    id: str
    email: str
    name: str
    is_operator: bool
    status: Annotated[str, known(("invited", "active", "disabled"))]
    created_at: Time


class InvitedUser(User):
    """The same, with the link by which its owner chooses a password: good once, until it expires."""

    link: str
    link_expires_at: Time
