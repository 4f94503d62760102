"""Audit events in words: what somebody did, as the end of a sentence that begins with who did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aitbc.schemas.audit import AuditEvent
from aitbc_server.field_words import in_a_sentence

_Writer = Callable[[AuditEvent, str], str]


def deed(event: AuditEvent, names: Mapping[str, str] = {}) -> str:
    """What was done: ``generated the API key “Billing”``. ``names`` are those of keys, by id.

    An action of a later release is told by its name.
    """
    writer = _DEEDS.get(event.action)
    if writer is None:
        return f"did “{event.action}” to {event.target.type.replace('_', ' ')} {event.target.id}"
    return writer(event, _target(event, names))


def doer(event: AuditEvent) -> str:
    """Who did it."""
    if event.actor.type == "api_key":
        return f"API key “{event.actor.name}”" if event.actor.name else f"API key {event.actor.id}"
    return event.actor.name or event.actor.id or event.actor.type.replace("_", " ").capitalize()


def _target(event: AuditEvent, names: Mapping[str, str]) -> str:
    name = names.get(event.target.id) or _field(event, "name") or _field(event, "email")
    return f"“{name}”" if name else event.target.id


def _field(event: AuditEvent, field: str) -> Any:
    """A field as it was after the event, else before it."""
    for state in (event.after, event.before):
        if state and state.get(field) is not None:
            return state[field]
    return None


def _updated_key(event: AuditEvent, target: str) -> str:
    after = event.after or {}
    if set(after) & {"enabled", "status"} and after.get("status", after.get("enabled")) in {"active", True}:
        return f"enabled the API key {target}"
    if after.get("status") == "disabled" or after.get("enabled") is False:
        return f"disabled the API key {target}"
    changed = sorted(in_a_sentence(field, "api_key") for field in after if field != "status")
    return f"changed {_listed(changed) or 'something'} of the API key {target}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _plan_changed(event: AuditEvent, _target: str) -> str:
    return f"changed the plan to {_field(event, 'plan')}"


def _request(verb: str) -> _Writer:
    return lambda event, _: f"{verb} the plan {_field(event, 'plan')}"


def _said(text: str) -> _Writer:
    return lambda _, target: text.format(target)


_DEEDS: dict[str, _Writer] = {
    "api_key.created": _said("generated the API key {}"),
    "api_key.granted": _said("let the API key {} act for this tenant"),
    "api_key.regenerated": _said("regenerated the secret of the API key {}"),
    "api_key.revoked": _said("revoked the API key {}"),
    "api_key.updated": _updated_key,
    "member.left": _said("left the tenant"),
    "audit_log.exported": lambda event, _: f"exported the audit log as {str(_field(event, 'format')).upper()}",
    "job.canceled": _said("cancelled the job {}"),
    "device_sign_in.approved": lambda event, _: f"let the device “{_field(event, 'client_name')}” sign in",
    "plan.created": _said("created the plan {}"),
    "plan.updated": _said("changed the plan {}"),
    "plan_request.approved": _request("approved the request for"),
    "plan_request.created": _request("asked for"),
    "plan_request.refused": _request("refused the request for"),
    "plan_request.withdrawn": _request("withdrew the request for"),
    "tenant.created": _said("created the tenant {}"),
    "tenant.plan_changed": _plan_changed,
    "tenant.resumed": _said("resumed the tenant"),
    "tenant.suspended": _said("suspended the tenant"),
    "user.confirmed": _said("confirmed their e-mail address"),
    "user.created": _said("signed up"),
    "user.deleted": _said("deleted their account"),
    "user.disabled": _said("disabled the account {}"),
    "user.email_changed": _said("changed their e-mail address"),
    "user.enabled": _said("enabled the account {}"),
    "user.invited": _said("made an account for {}"),
    "user.password_changed": _said("changed their password"),
    "user.password_set": _said("set a new password"),
    "user.renamed": _said("changed their name"),
    "user.session_ended": _said("ended a session"),
    "user.sessions_ended": _said("ended all other sessions"),
}

#: Every action that this release records.
ACTIONS = tuple(sorted(_DEEDS))

_SUBJECTS = {"api_key": "API key", "audit_log": "Audit log", "device_sign_in": "Device sign-in", "user": "Account"}


def title(action: str) -> str:
    """What an action is called in a list to choose from: ``API key: created``."""
    subject, _, verb = action.partition(".")
    return f"{_SUBJECTS.get(subject, subject.replace('_', ' ').capitalize())}: {verb.replace('_', ' ')}"
