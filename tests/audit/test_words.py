"""Audit events in words."""

from __future__ import annotations

from typing import Any

import pytest

from aitbc.schemas.audit import AuditActor, AuditEvent, AuditTarget
from aitbc_server.audit.words import deed, doer
from aitbc_server.clock import from_ms


def event(
    action: str,
    target: tuple[str, str] = ("api_key", "key_1"),
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    actor: tuple[str, str | None, str | None] = ("user", "usr_1", "ada@example.com"),
) -> AuditEvent:
    """An event of which only this matters."""
    return AuditEvent(
        id="evt_1",
        time=from_ms(0),
        actor=AuditActor(type=actor[0], id=actor[1], name=actor[2]),
        action=action,
        target=AuditTarget(type=target[0], id=target[1]),
        client_ip=None,
        request_id=None,
        before=before,
        after=after,
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (event("api_key.created", after={"name": "Billing"}), "generated the API key “Billing”"),
        (event("api_key.revoked", after={"status": "revoked"}), "revoked the API key key_1"),
        (event("api_key.updated", after={"status": "disabled"}), "disabled the API key key_1"),
        (event("api_key.updated", after={"status": "active"}), "enabled the API key key_1"),
        (
            event("api_key.updated", after={"allowed_ips": [], "expires_at": None}),
            "changed allowed addresses and expiry of the API key key_1",
        ),
        (event("api_key.updated", before={"name": "Old"}, after={"name": "New"}), "changed name of the API key “New”"),
        (event("tenant.plan_changed", ("tenant", "acme"), after={"plan": "pro"}), "changed the plan to pro"),
        (event("plan_request.created", ("plan_request", "prq_1"), after={"plan": "pro"}), "asked for the plan pro"),
        (event("user.invited", ("user", "usr_2"), after={"email": "b@c.de"}), "made an account for “b@c.de”"),
        (event("device_sign_in.approved", after={"client_name": "laptop"}), "let the device “laptop” sign in"),
        (event("robot_arm.moved", ("robot_arm", "arm_1")), "did “robot_arm.moved” to robot arm arm_1"),
    ],
)
def test_deeds_are_told(what: AuditEvent, words: str) -> None:
    """As the end of a sentence; a later release's by its name."""
    assert deed(what) == words


def test_a_key_is_told_by_its_name() -> None:
    """Where it is known."""
    assert deed(event("api_key.revoked"), {"key_1": "Billing"}) == "revoked the API key “Billing”"


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        (("user", "usr_1", "ada@example.com"), "ada@example.com"),
        (("api_key", "key_1", "CI"), "API key “CI”"),
        (("api_key", "key_1", None), "API key key_1"),
        (("operator", None, "aitbc admin set-plan"), "aitbc admin set-plan"),
        (("system", None, None), "System"),
    ],
)
def test_who_did_it_is_told(actor: tuple[str, str | None, str | None], words: str) -> None:
    """By name, else by id, else by kind."""
    assert doer(event("api_key.created", actor=actor)) == words
