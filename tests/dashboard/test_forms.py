"""What a form's fields are read as."""

from __future__ import annotations

import pytest

from aitbc.schemas.problem import FieldError
from aitbc.schemas.scopes import Environment
from aitbc_server.dashboard.forms import Form, messages
from aitbc_server.errors import Code, DomainError, conflict, invalid

FORM = Form([("name", " a b "), ("scopes", "x"), ("scopes", "y"), ("ips", "192.0.2.1,\r\n 2001:db8::/32"), ("on", "")])


def test_fields_are_text() -> None:
    """As typed, without the space around it, line by line, and nothing where nothing was sent."""
    assert (FORM.text("name"), FORM.line("name"), FORM.text("missing")) == (" a b ", "a b", "")
    assert (FORM.list("scopes"), FORM.list("missing")) == (["x", "y"], [])
    assert FORM.lines("ips") == ["192.0.2.1", "2001:db8::/32"]
    assert (FORM.has("on"), FORM.has("missing")) == (True, False)


@pytest.mark.parametrize(("text", "number"), [("", None), ("  ", None), ("0", 0), (" 600 ", 600), ("6 000", 6000)])
def test_a_number_is_read(text: str, number: int | None) -> None:
    """Nothing is None; a space between the thousands is no fault."""
    assert Form([("n", text)]).integer("n") == number


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "abc", "٣", "9" * 16, "0x10"])
def test_what_is_no_number_is_said(text: str) -> None:
    """ASVS 2.2.1: with the field's name."""
    with pytest.raises(DomainError) as raised:
        Form([("n", text)]).integer("n")
    assert messages(raised.value) == {"n": "Must be a whole number."}


def test_a_choice_is_one_of_the_list() -> None:
    """ASVS 2.2.1."""
    assert Form([("e", "live")]).choice("e", Environment) is Environment.LIVE
    assert Form().choice("e", Environment) is None
    with pytest.raises(DomainError) as raised:
        Form([("e", "prod")]).choice("e", Environment)
    assert messages(raised.value) == {"e": "Must be one of live, test."}


def test_messages_stand_by_their_field() -> None:
    """A list's item is its field's matter; of two messages on one field the first is told; others go on as errors."""
    both = [FieldError(field="ips.1", message="is no address"), FieldError(field="ips.2", message="is no address")]
    assert messages(DomainError(Code.VALIDATION_ERROR, "", errors=both)) == {"ips": "Is no address."}
    assert messages(invalid("name", "must not be blank")) == {"name": "Must not be blank."}
    assert messages(DomainError(Code.VALIDATION_ERROR, "All of it.")) == {"": "All of it."}
    with pytest.raises(DomainError) as raised:
        messages(conflict("No."))
    assert raised.value.code is Code.CONFLICT
