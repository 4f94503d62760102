"""The pages of a person's own account: name, password, sessions, and its end."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post
from litestar.params import FromPath

from aitbc_server.dashboard.forms import messages
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.agents import in_words
from aitbc_server.users.password_rules import MIN_LENGTH
from aitbc_server.users.visit import Answer, Visit, Visiting, for_visit


def _for_people(name: str, *, recent: bool = False) -> Operation:
    return Operation(f"users.{name}", audience=Audience.PERSON, recent=recent)


SETTINGS = _for_people("settings")
RENAME = _for_people("rename")
CHANGE_PASSWORD = _for_people("change_password")
END_SESSION = _for_people("end_session")
END_OTHER_SESSIONS = _for_people("end_other_sessions")
DELETE_PAGE = _for_people("delete_account_page", recent=True)
DELETE = _for_people("delete_account", recent=True)


@get("/settings", **for_visit(SETTINGS))
async def settings(visit: Visiting) -> Response[str]:
    """Everything about the account at a glance."""
    return await _settings(visit)


@post("/settings/name", **for_visit(RENAME))
async def rename(visit: Visiting) -> Answer:
    """Another name."""
    name = visit.form.line("name")
    try:
        await visit.accounts.own.rename(visit.signed_in, name, visit.origin)
    except DomainError as error:
        return await _settings(visit, messages(error), name=name)
    return visit.go_to("/settings", "Your name is changed.")


@post("/settings/password", **for_visit(CHANGE_PASSWORD))
async def change_password(visit: Visiting) -> Answer:
    """Another password; everybody else who is signed in to the account is out."""
    current, new = visit.form.text("current_password"), visit.form.text("new_password")
    try:
        token = await visit.accounts.own.change_password(visit.signed_in, current, new, visit.origin)
    except DomainError as error:
        return await _settings(visit, messages(error))
    return visit.keep_session(token, "/settings", "Your password is changed. Everywhere else, you are signed out.")


@post("/settings/sessions/{session_id:str}/end", **for_visit(END_SESSION))
async def end_session(visit: Visiting, session_id: FromPath[str]) -> Response[bytes]:
    """Sign out one browser. One that is out already is no mistake."""
    try:
        await visit.accounts.own.end_session(visit.signed_in, session_id, visit.origin)
    except DomainError as error:
        if error.code is not Code.NOT_FOUND:
            raise
    return visit.go_to("/settings#sessions", "That browser is signed out.")


@post("/settings/sessions/end-others", **for_visit(END_OTHER_SESSIONS))
async def end_other_sessions(visit: Visiting) -> Response[bytes]:
    """Sign out every other browser."""
    await visit.accounts.own.end_other_sessions(visit.signed_in, visit.origin)
    return visit.go_to("/settings#sessions", "All other browsers are signed out.")


@get("/settings/delete", **for_visit(DELETE_PAGE))
async def delete_page(visit: Visiting) -> Response[str]:
    """What deleting the account means, and the button."""
    parting = await visit.accounts.own.parting(visit.signed_in)
    return visit.show("users/settings_delete.html", email="", parting=parting)


@post("/settings/delete", **for_visit(DELETE))
async def delete(visit: Visiting) -> Answer:
    """Delete the account, for who has typed its address."""
    email = visit.form.line("email")
    if email.lower() != visit.signed_in.email:
        errors = {"email": f"Type {visit.signed_in.email} to confirm."}
        parting = await visit.accounts.own.parting(visit.signed_in)
        return visit.show("users/settings_delete.html", errors, email=email, parting=parting)
    await visit.accounts.own.delete(visit.signed_in, visit.origin)
    return visit.let_out("Your account is deleted.")


ROUTES = [settings, rename, change_password, end_session, end_other_sessions, delete_page, delete]


async def _settings(visit: Visit, errors: Mapping[str, str] | None = None, *, name: str | None = None) -> Response[str]:
    sessions = [(each, in_words(each.user_agent)) for each in await visit.accounts.own.sessions(visit.signed_in)]
    name = visit.signed_in.name if name is None else name
    return visit.show("users/settings.html", errors, name=name, sessions=sessions, min_length=MIN_LENGTH)
