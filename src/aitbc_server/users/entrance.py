"""The pages in front of the door: sign up, sign in and out, the password again, a forgotten one, the links of mails.

Opening a link changes nothing, because scanners of mails open them all: the page's button does.
"""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post

from aitbc_server.dashboard.forms import messages
from aitbc_server.dashboard.redirects import SeeOther, same_site_path
from aitbc_server.errors import DomainError
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.users.password_rules import MIN_LENGTH
from aitbc_server.users.visit import Answer, Visit, Visiting, for_visit


def _for_everyone(name: str) -> Operation:
    return Operation(f"users.{name}", audience=Audience.EVERYONE)


SIGN_UP_PAGE, SIGN_UP = _for_everyone("sign_up_page"), _for_everyone("sign_up")
CHECK_MAIL = _for_everyone("check_mail")
VERIFY_PAGE, VERIFY = _for_everyone("verify_email_page"), _for_everyone("verify_email")
SIGN_IN_PAGE, SIGN_IN = _for_everyone("sign_in_page"), _for_everyone("sign_in")
SIGN_OUT = Operation("users.sign_out", audience=Audience.PERSON)
CONFIRM_PAGE = Operation("users.confirm_page", audience=Audience.PERSON)
CONFIRM = Operation("users.confirm", audience=Audience.PERSON)
FORGOT_PAGE, FORGOT = _for_everyone("forgot_password_page"), _for_everyone("forgot_password")
RESET_PAGE, RESET = _for_everyone("reset_password_page"), _for_everyone("reset_password")


@get("/sign-up", **for_visit(SIGN_UP_PAGE), sync_to_thread=False)
def sign_up_page(visit: Visiting) -> Response[str]:
    """The form, or why there is none."""
    _only_strangers(visit)
    closed = visit.accounts.sign_ups.closed()
    return visit.show("users/sign_up.html", closed=closed, email="", min_length=MIN_LENGTH)


@post("/sign-up", **for_visit(SIGN_UP))
async def sign_up(visit: Visiting) -> Answer:
    """Begin an account."""
    email = visit.form.line("email")
    try:
        await visit.accounts.sign_ups.sign_up(email, visit.form.text("password"), visit.origin)
    except DomainError as error:
        found = messages(error)
        return visit.show("users/sign_up.html", found, closed=None, email=email, min_length=MIN_LENGTH)
    return visit.go_to("/check-mail", f"We have sent a mail to {email}.")


@get("/check-mail", **for_visit(CHECK_MAIL), sync_to_thread=False)
def check_mail(visit: Visiting) -> Response[str]:
    """What to do next: the same for everybody, whatever the mail says."""
    return visit.show("users/check_mail.html")


@get("/verify-email", **for_visit(VERIFY_PAGE))
async def verify_page(visit: Visiting) -> Response[str]:
    """The button behind the link of a sign-up."""
    token = visit.query.line("token")
    try:
        email = await visit.accounts.sign_ups.offered_email(token)
    except DomainError as error:
        return visit.dead_link(error)
    return visit.show("users/verify_email.html", token=token, email=email)


@post("/verify-email", **for_visit(VERIFY))
async def verify(visit: Visiting) -> Answer:
    """Finish an account, and sign in."""
    token = visit.form.line("token")
    try:
        email = await visit.accounts.sign_ups.offered_email(token)
    except DomainError as error:
        return visit.dead_link(error)
    try:
        entry = await visit.accounts.sign_ups.verify(token, visit.form.text("password"), visit.origin)
    except DomainError as error:
        return visit.show("users/verify_email.html", messages(error), token=token, email=email)
    return visit.let_in(entry, "/", "Welcome. Your account is ready.")


@get("/sign-in", **for_visit(SIGN_IN_PAGE), sync_to_thread=False)
def sign_in_page(visit: Visiting) -> Response[str]:
    """The form."""
    following = same_site_path(visit.query.line("next"))
    _only_strangers(visit, following)
    return _sign_in_form(visit, following)


@post("/sign-in", **for_visit(SIGN_IN))
async def sign_in(visit: Visiting) -> Answer:
    """Let somebody in."""
    following = same_site_path(visit.form.line("next"))
    email = visit.form.line("email")
    try:
        entry = await visit.accounts.sign_ins.sign_in(email, visit.form.text("password"), visit.origin)
    except DomainError as error:
        return _sign_in_form(visit, following, email, messages(error))
    return visit.let_in(entry, following)


@post("/sign-out", **for_visit(SIGN_OUT))
async def sign_out(visit: Visiting) -> Response[bytes]:
    """End this session."""
    await visit.accounts.sign_ins.sign_out(visit.signed_in, visit.origin)
    return visit.let_out("You are signed out.")


@get("/confirm", **for_visit(CONFIRM_PAGE), sync_to_thread=False)
def confirm_page(visit: Visiting) -> Response[str]:
    """The password again, before something sensitive."""
    return visit.show("users/confirm.html", following=same_site_path(visit.query.line("next")))


@post("/confirm", **for_visit(CONFIRM))
async def confirm(visit: Visiting) -> Answer:
    """Go on to what asked for it."""
    following = same_site_path(visit.form.line("next"))
    try:
        token = await visit.accounts.sign_ins.confirm(visit.signed_in, visit.form.text("password"), visit.origin)
    except DomainError as error:
        return visit.show("users/confirm.html", messages(error), following=following)
    return visit.keep_session(token, following)


@get("/forgot-password", **for_visit(FORGOT_PAGE), sync_to_thread=False)
def forgot_page(visit: Visiting) -> Response[str]:
    """The form, or whom to ask where no mail is sent."""
    return visit.show("users/forgot_password.html", works=visit.accounts.recovery.works, email="")


@post("/forgot-password", **for_visit(FORGOT))
async def forgot(visit: Visiting) -> Answer:
    """Send a link, if there is such an account. Nobody learns here whether there is."""
    email = visit.form.line("email")
    try:
        await visit.accounts.recovery.forgot(email, visit.origin)
    except DomainError as error:
        return visit.show("users/forgot_password.html", messages(error), works=True, email=email)
    return visit.go_to("/check-mail", f"If there is an account with {email}, a mail is on its way.")


@get("/reset-password", **for_visit(RESET_PAGE))
async def reset_page(visit: Visiting) -> Response[str]:
    """A new password, or the first one."""
    return await _reset_form(visit, visit.query.line("token"))


@post("/reset-password", **for_visit(RESET))
async def reset(visit: Visiting) -> Answer:
    """Set the password, and sign in."""
    token = visit.form.line("token")
    try:
        await visit.accounts.recovery.offer(token)
    except DomainError as error:
        return visit.dead_link(error)
    try:
        entry = await visit.accounts.recovery.set_password(token, visit.form.text("password"), visit.origin)
    except DomainError as error:
        return await _reset_form(visit, token, messages(error))
    return visit.let_in(entry, "/", "Your password is set. You are signed in.")


ROUTES = [
    sign_up_page,
    sign_up,
    check_mail,
    verify_page,
    verify,
    sign_in_page,
    sign_in,
    sign_out,
    confirm_page,
    confirm,
    forgot_page,
    forgot,
    reset_page,
    reset,
]


def _only_strangers(visit: Visit, following: str = "/") -> None:
    """Who is signed in already is sent on."""
    if not visit.stranger:
        raise SeeOther(following)


def _sign_in_form(
    visit: Visit, following: str, email: str = "", errors: Mapping[str, str] | None = None
) -> Response[str]:
    may_sign_up = visit.accounts.sign_ups.closed() is None
    return visit.show("users/sign_in.html", errors, following=following, email=email, may_sign_up=may_sign_up)


async def _reset_form(visit: Visit, token: str, errors: Mapping[str, str] | None = None) -> Response[str]:
    try:
        offer = await visit.accounts.recovery.offer(token)
    except DomainError as error:
        return visit.dead_link(error)
    return visit.show("users/reset_password.html", errors, token=token, offer=offer, min_length=MIN_LENGTH)
