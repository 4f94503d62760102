"""What fields are called where people read."""

from __future__ import annotations

import pytest

from aitbc_server.field_words import in_a_sentence, label, sentence


@pytest.mark.parametrize(
    ("field", "of", "words"),
    [
        ("allowed_ips", None, "Allowed addresses"),
        ("limit_per_minute", "api_key", "Own limit"),
        ("limit_per_minute", "plan", "Requests a minute"),
        ("robot_arm", None, "Robot arm"),
    ],
)
def test_a_field_has_a_label(field: str, of: str | None, words: str) -> None:
    """One for forms and audit; a later release's field by its name."""
    assert label(field, of) == words


def test_a_field_has_a_name_within_a_sentence() -> None:
    """In small letters."""
    assert [in_a_sentence(each) for each in ("own", "email", "expires_at")] == ["own", "e-mail address", "expiry"]


@pytest.mark.parametrize(
    ("field", "message", "words"),
    [
        ("password", "is too easy to guess", "The password is too easy to guess."),
        ("preset", "must be chosen", "What it may do must be chosen."),
        ("plan", "there is no plan gold.", "There is no plan gold."),
        ("", "must be an object", "Must be an object."),
    ],
)
def test_what_is_wrong_is_a_sentence(field: str, message: str, words: str) -> None:
    """What begins with a verb is said of the field; all else stands for itself."""
    assert sentence(field, message) == words
