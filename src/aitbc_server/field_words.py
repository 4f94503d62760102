"""What fields are called where people read: over a form's field, in what is wrong about it, in the audit log."""

from __future__ import annotations

_LABELS = {
    "access": "What may it do?",
    "actor": "Who",
    "allowed_ips": "Allowed addresses",
    "client_ip": "Address",
    "created_at": "Created",
    "created_by": "Created by",
    "email": "E-mail address",
    "expires_at": "Expires",
    "grace_period_seconds": "Grace period",
    "key_id": "Key",
    "last_used_at": "Last used",
    "last_used_ip": "Last used from",
    "limit_per_minute": "Own limit",
    "masked": "Masked key",
    "preset": "What may it do?",
    "secret_created_at": "Secret made",
    "tenant_ids": "Acts for",
}

# Labels that are verbs read badly within a sentence.
_IN_SENTENCES = {"expires_at": "expiry", "tenant_ids": "tenants"}

# Where the same field means another thing.
_LABELS_OF = {
    "plan": {"limit_per_minute": "Requests a minute"},
    "api_key": {"preset": "Preset"},
    "device_sign_in": {"preset": "Preset"},
}

# How a sentence begins that says what is wrong about a field, where it is not "The" and its label.
_SUBJECTS = {
    "access": "What the key may do",
    "actor": "The text for “Who”",
    "limit_per_minute": "The key's own limit",
    "note": "What you need it for",
    "plan_id": "The plan",
    "preset": "What it may do",
    "since": "The first day",
    "until": "The last day",
}

# The API says what is wrong about a field as the end of a sentence: "must not be empty".
_VERBS = frozenset({"does", "has", "holds", "is", "must", "needs", "was"})


def label(field: str, of: str | None = None) -> str:
    """What a field is called: ``Allowed addresses``. ``of`` is what has it, such as ``api_key``."""
    return _LABELS_OF.get(of or "", {}).get(field) or _LABELS.get(field) or field.replace("_", " ").capitalize()


def in_a_sentence(field: str, of: str | None = None) -> str:
    """The same within a sentence: ``allowed addresses``."""
    words = _IN_SENTENCES.get(field) or label(field, of)
    return words[:1].lower() + words[1:]


def sentence(field: str, message: str) -> str:
    """What is wrong about a field, as a whole sentence: the end of one gets the field's name in front."""
    if field and message.partition(" ")[0] in _VERBS:
        message = f"{_SUBJECTS.get(field) or 'The ' + in_a_sentence(field)} {message}"
    return message[:1].upper() + message[1:].rstrip(".") + "."
