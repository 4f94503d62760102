"""The pages of another e-mail address: ask for it, and confirm it behind the link that was mailed there.

A link alone changes no account: who opens it is signed in to the one that it is for. So nobody gives their mailbox to
somebody else's account by following a link that they did not ask for.
"""

from __future__ import annotations

from litestar import Response, get, post

from aitbc_server.dashboard.forms import messages
from aitbc_server.errors import DomainError
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.visit import Answer, Visiting, for_visit

ASK_FOR_EMAIL_PAGE = Operation("users.ask_for_email_page", audience=Audience.PERSON, recent=True)
ASK_FOR_EMAIL = Operation("users.ask_for_email", audience=Audience.PERSON, recent=True)
CHANGE_EMAIL_PAGE = Operation("users.change_email_page", audience=Audience.PERSON)
CHANGE_EMAIL = Operation("users.change_email", audience=Audience.PERSON)


@get("/settings/email", **for_visit(ASK_FOR_EMAIL_PAGE), sync_to_thread=False)
def ask_for_email_page(visit: Visiting) -> Response[str]:
    """The form for another address."""
    return visit.show("users/settings_email.html", email="")


@post("/settings/email", **for_visit(ASK_FOR_EMAIL))
async def ask_for_email(visit: Visiting) -> Answer:
    """Send a link to another address."""
    email = visit.form.line("email")
    try:
        await visit.accounts.own.ask_for_email(visit.signed_in, email, visit.origin)
    except DomainError as error:
        return visit.show("users/settings_email.html", messages(error), email=email)
    words = f"We have sent a mail to {email}. Your address changes when you open the link in it."
    return visit.go_to("/settings", words, "info")


@get("/change-email", **for_visit(CHANGE_EMAIL_PAGE))
async def change_email_page(visit: Visiting) -> Response[str]:
    """The button behind the link that was mailed to a new address."""
    token = visit.query.line("token")
    try:
        email = await visit.accounts.own.offered_email(visit.signed_in, token)
    except DomainError as error:
        return visit.dead_link(error)
    return visit.show("users/change_email.html", token=token, email=email)


@post("/change-email", **for_visit(CHANGE_EMAIL))
async def change_email(visit: Visiting) -> Answer:
    """From now on the account has the new address."""
    try:
        email = await visit.accounts.own.change_email(visit.signed_in, visit.form.line("token"), visit.origin)
    except DomainError as error:
        return visit.dead_link(error)
    return visit.go_to("/settings", f"Your account has the address {email} now. Sign in with it from now on.")


ROUTES = [ask_for_email_page, ask_for_email, change_email_page, change_email]
