"""Every mail that is sent: what it is called, what it needs to know, and what it says.

No name that a stranger typed stands in a mail to an address that is not proven yet: it would make this server send
other people's texts.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from aitbc_server.mail.message import Link, Message

_NOT_YOU = "If this was not you, ignore this mail: nothing changes."
_ONCE = "The link works once."


class Kind(StrEnum):
    """The mails by their name in the outbox."""

    VERIFY_EMAIL = "verify_email"
    ALREADY_HAVE_ACCOUNT = "already_have_account"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a mail
    CHANGE_EMAIL = "change_email"
    EMAIL_CHANGED_NOTICE = "email_changed_notice"
    ACCOUNT_DELETED = "account_deleted"
    PASSWORD_CHANGED_NOTICE = "password_changed_notice"  # noqa: S105 - the name of a mail
    SET_UP_ACCOUNT = "set_up_account"
    PLAN_REQUEST_DECIDED = "plan_request_decided"
    NEW_KEY_BY_DEVICE = "new_key_by_device"


def compose(kind: str, parameters: dict[str, Any]) -> Message:
    """The mail of this kind. Raises ValueError for an unknown kind, TypeError for parameters that it does not take."""
    return _WRITERS[Kind(kind)](**parameters)


def _verify_email(*, link: str, valid_for: str = "24 hours") -> Message:
    return Message(
        subject="Confirm your e-mail address",
        paragraphs=("Somebody, probably you, signed up for AITBC with this address. Confirm that it is yours:",),
        link=Link("Confirm the address", link),
        after=(f"{_ONCE} It is valid for {valid_for}.", _NOT_YOU),
    )


def _already_have_account(*, sign_in_link: str, reset_link: str) -> Message:
    return Message(
        subject="You already have an account",
        paragraphs=(
            "Somebody, probably you, tried to use this address for an account of AITBC. It has one already.",
            f"If you have forgotten the password, set a new one: {reset_link}",
        ),
        link=Link("Sign in", sign_in_link),
        after=(_NOT_YOU,),
    )


def _reset_password(*, link: str, valid_for: str = "30 minutes") -> Message:
    return Message(
        subject="Set a new password",
        paragraphs=("Somebody, probably you, asked for a new password for your AITBC account.",),
        link=Link("Set a new password", link),
        after=(f"{_ONCE} It is valid for {valid_for}.", _NOT_YOU + " Your present password goes on working."),
    )


def _change_email(*, link: str, valid_for: str = "24 hours") -> Message:
    return Message(
        subject="Confirm your new e-mail address",
        paragraphs=(
            "You asked to use this address for your AITBC account from now on.",
            "Confirm that it is yours. You may have to sign in first.",
        ),
        link=Link("Confirm the address", link),
        after=(f"{_ONCE} It is valid for {valid_for}.", _NOT_YOU),
    )


def _email_changed_notice(*, new_email: str, when: str, client_ip: str | None) -> Message:
    return Message(
        subject="The e-mail address of your account was changed",
        paragraphs=("Your AITBC account has another e-mail address now. This one is no longer used.",),
        details=(("New address", new_email), ("When", when), ("From", client_ip or "unknown")),
        after=("If this was not you, tell the operator of this server at once: somebody else has your account.",),
    )


def _account_deleted(*, when: str, client_ip: str | None) -> Message:
    return Message(
        subject="Your account was deleted",
        paragraphs=("Your AITBC account was deleted, and nobody can sign in to it any more.",),
        details=(("When", when), ("From", client_ip or "unknown")),
        after=("If this was not you, tell the operator of this server at once: somebody else had your password.",),
    )


def _password_changed_notice(*, when: str, client_ip: str | None, reset_link: str) -> Message:
    return Message(
        subject="Your password was changed",
        paragraphs=("The password of your AITBC account was changed, and you were signed out everywhere else.",),
        details=(("When", when), ("From", client_ip or "unknown")),
        link=Link("If this was not you, set a new password", reset_link),
        after=("Then look through your API keys and revoke those that you do not know.",),
    )


def _set_up_account(*, link: str, tenant: str | None = None, valid_for: str = "7 days") -> Message:
    to = "" if tenant is None else f" to work in {tenant}"
    return Message(
        subject="Set up your account",
        paragraphs=(f"You are invited to AITBC{to}. Choose a password, and you are ready to go:",),
        link=Link("Set up the account", link),
        after=(f"{_ONCE} It is valid for {valid_for}.",),
    )


def _plan_request_decided(*, tenant: str, plan: str, approved: bool, answer: str | None, link: str) -> Message:
    decision = (
        f"{tenant} has the plan {plan} now. Its limit holds from the next request on."
        if approved
        else f"The change of {tenant} to the plan {plan} was not approved. Everything stays as it was."
    )
    return Message(
        subject=f"Your plan request was {'approved' if approved else 'refused'}",
        paragraphs=(decision, *(() if not answer else (f"The operator writes: {answer}",))),
        link=Link("See the plan", link),
    )


def _new_key_by_device(
    *,
    key_name: str,
    key_id: str,
    tenant: str,
    environment: str,
    preset: str,
    expires: str,
    when: str,
    client_ip: str | None,
    link: str,
) -> Message:
    return Message(
        subject="A new API key was made for a command line",
        paragraphs=("You let a command line sign in to AITBC, and it has collected its API key.",),
        details=(
            ("Key", f"{key_name} ({key_id})"),
            ("Tenant", tenant),
            ("May do", f"{preset}, environment {environment}"),
            ("Expires", expires),
            ("Collected", when),
            ("From", client_ip or "unknown"),
        ),
        link=Link("See the key", link),
        after=("If this was not you, revoke the key there, then change your password.",),
    )


_WRITERS: dict[Kind, Callable[..., Message]] = {
    Kind.VERIFY_EMAIL: _verify_email,
    Kind.ALREADY_HAVE_ACCOUNT: _already_have_account,
    Kind.RESET_PASSWORD: _reset_password,
    Kind.CHANGE_EMAIL: _change_email,
    Kind.EMAIL_CHANGED_NOTICE: _email_changed_notice,
    Kind.ACCOUNT_DELETED: _account_deleted,
    Kind.PASSWORD_CHANGED_NOTICE: _password_changed_notice,
    Kind.SET_UP_ACCOUNT: _set_up_account,
    Kind.PLAN_REQUEST_DECIDED: _plan_request_decided,
    Kind.NEW_KEY_BY_DEVICE: _new_key_by_device,
}
