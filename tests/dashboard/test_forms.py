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
    assert messages(raised.value) == {"n": "The n must be a whole number."}


def test_a_choice_is_one_of_the_list() -> None:
    """ASVS 2.2.1."""
    assert Form([("e", "live")]).choice("e", Environment) is Environment.LIVE
    assert Form().choice("e", Environment) is None
    with pytest.raises(DomainError) as raised:
        Form([("e", "prod")]).choice("e", Environment)
    assert messages(raised.value) == {"e": "The e must be one of live, test."}


def test_messages_stand_by_their_field() -> None:
    """In sentences; a list's item is its field's matter, of two the first is told; errors of other kinds go on."""
    both = [FieldError(field="ips.1", message="is no address"), FieldError(field="ips.2", message="is no address")]
    assert messages(DomainError(Code.VALIDATION_ERROR, "", errors=both)) == {"ips": "The ips is no address."}
    assert messages(invalid("name", "must not be blank")) == {"name": "The name must not be blank."}
    assert messages(invalid("limit_per_minute", "must be the plan's")) == {
        "limit_per_minute": "The key's own limit must be the plan's."
    }
    assert messages(invalid("plan_id", "choose one")) == {"plan_id": "Choose one."}
    assert messages(DomainError(Code.VALIDATION_ERROR, "All of it.")) == {"": "All of it."}
    with pytest.raises(DomainError) as raised:
        messages(conflict("No."))
    assert raised.value.code is Code.CONFLICT
