"""Who may see which page and send which form: the table that people's pages are held against. Written by hand.

A page that is not here fails the matrix, so whoever adds one says here who it is for.
"""

from __future__ import annotations

from typing import NamedTuple

from aitbc_server.users.roles import Role

ALL = frozenset(Role)
MAKERS = frozenset({Role.OWNER, Role.ADMIN, Role.DEVELOPER})
HEADS = frozenset({Role.OWNER, Role.ADMIN})


class PageRule(NamedTuple):
    """Who a page is for.

    ``roles``: what one must be in the tenant that is looked at; None: whoever is signed in, in no tenant too.
    ``everyone``: strangers too. ``operator``: operators alone, and nobody else learns of it. ``recent``: the password
    was given within a quarter of an hour. ``streams``: its answer goes on for minutes. ``saved_as``: it is no page but
    a file of this type. ``also``: a status that who may gets here, beside the usual ones.
    """

    roles: frozenset[Role] | None = None
    everyone: bool = False
    operator: bool = False
    recent: bool = False
    streams: bool = False
    saved_as: str | None = None
    also: int | None = None


EVERYONE = PageRule(everyone=True)
PERSON = PageRule()
SENSITIVE = PageRule(recent=True)
OPERATOR = PageRule(operator=True, recent=True)
SEE = PageRule(ALL)
LIVE = PageRule(ALL, streams=True)

PAGES: dict[tuple[str, str], PageRule] = {
    ("GET", "/"): EVERYONE,
    ("GET", "/static/{name}"): EVERYONE,
    ("POST", "/choose-tenant"): PERSON,
    # The way in. The forms are for everyone, the links of mails are their key.
    ("GET", "/sign-up"): EVERYONE,
    # Nobody can make an account where no mail can be sent.
    ("POST", "/sign-up"): PageRule(everyone=True, also=403),
    ("GET", "/check-mail"): EVERYONE,
    ("GET", "/verify-email"): EVERYONE,
    ("POST", "/verify-email"): EVERYONE,
    ("GET", "/sign-in"): EVERYONE,
    ("POST", "/sign-in"): EVERYONE,
    ("GET", "/forgot-password"): EVERYONE,
    ("POST", "/forgot-password"): EVERYONE,
    ("GET", "/reset-password"): EVERYONE,
    ("POST", "/reset-password"): EVERYONE,
    ("POST", "/sign-out"): PERSON,
    ("GET", "/confirm"): PERSON,
    ("POST", "/confirm"): PERSON,
    # A person's own account.
    ("GET", "/settings"): PERSON,
    ("POST", "/settings/name"): PERSON,
    # It asks for the present password itself.
    ("POST", "/settings/password"): PERSON,
    ("GET", "/settings/email"): SENSITIVE,
    ("POST", "/settings/email"): SENSITIVE,
    # The link proves the mailbox, the session the account.
    ("GET", "/change-email"): PERSON,
    ("POST", "/change-email"): PERSON,
    ("GET", "/settings/delete"): SENSITIVE,
    ("POST", "/settings/delete"): SENSITIVE,
    ("POST", "/settings/sessions/end-others"): PERSON,
    ("POST", "/settings/sessions/{session_id}/end"): PERSON,
    # A command line that wants to sign in.
    ("GET", "/device"): PERSON,
    ("POST", "/device"): PERSON,
    ("GET", "/device/{grant_id}"): SENSITIVE,
    ("POST", "/device/{grant_id}/approve"): SENSITIVE,
    ("POST", "/device/{grant_id}/deny"): PERSON,
    # The tenant's.
    ("GET", "/overview"): SEE,
    ("GET", "/overview/live"): LIVE,
    ("GET", "/plan"): SEE,
    ("POST", "/plan/requests"): PageRule(HEADS),
    ("POST", "/plan/requests/{request_id}/withdraw"): PageRule(HEADS),
    ("GET", "/api-keys"): SEE,
    ("GET", "/api-keys/{key_id}"): SEE,
    ("GET", "/api-keys/{key_id}/live"): LIVE,
    ("GET", "/api-keys/new"): PageRule(MAKERS, recent=True),
    ("POST", "/api-keys/new"): PageRule(MAKERS, recent=True),
    ("GET", "/api-keys/{key_id}/edit"): PageRule(MAKERS, recent=True),
    ("POST", "/api-keys/{key_id}/edit"): PageRule(MAKERS, recent=True),
    ("GET", "/api-keys/{key_id}/regenerate"): PageRule(MAKERS, recent=True),
    ("POST", "/api-keys/{key_id}/regenerate"): PageRule(MAKERS, recent=True),
    ("POST", "/api-keys/{key_id}/enable"): PageRule(MAKERS, recent=True),
    # What only closes something does not wait for a password.
    ("POST", "/api-keys/{key_id}/disable"): PageRule(MAKERS),
    ("GET", "/api-keys/{key_id}/revoke"): PageRule(MAKERS),
    ("POST", "/api-keys/{key_id}/revoke"): PageRule(MAKERS),
    ("GET", "/jobs"): SEE,
    ("GET", "/jobs/{job_id}"): SEE,
    ("GET", "/jobs/{job_id}/payload"): SEE,
    ("GET", "/jobs/{job_id}/result"): SEE,
    ("GET", "/jobs/{job_id}/cancel"): PageRule(MAKERS),
    ("POST", "/jobs/{job_id}/cancel"): PageRule(MAKERS),
    ("GET", "/miners"): SEE,
    ("GET", "/audit-log"): SEE,
    ("GET", "/audit-log/{event_id}"): SEE,
    ("GET", "/audit-log/export"): PageRule(ALL, recent=True),
    ("POST", "/audit-log/export.csv"): PageRule(ALL, recent=True, saved_as="text/csv"),
    ("POST", "/audit-log/export.json"): PageRule(ALL, recent=True, saved_as="application/json"),
    # The operators'.
    ("GET", "/admin"): PageRule(operator=True),
    ("GET", "/admin/plan-requests/{request_id}"): OPERATOR,
    ("POST", "/admin/plan-requests/{request_id}"): OPERATOR,
    ("GET", "/admin/tenants/{tenant_id}"): OPERATOR,
    ("POST", "/admin/tenants/{tenant_id}/plan"): OPERATOR,
    ("GET", "/admin/tenants/{tenant_id}/suspend"): OPERATOR,
    ("POST", "/admin/tenants/{tenant_id}/suspend"): OPERATOR,
    ("POST", "/admin/tenants/{tenant_id}/resume"): OPERATOR,
}
