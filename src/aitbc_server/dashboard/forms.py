"""Forms that browsers post: read once, within a size, as text and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from litestar import Request

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.field_words import sentence

MAX_FORM_BYTES = 64 * 1024
_MAX_FIELDS = 200
_MEDIA_TYPE = "application/x-www-form-urlencoded"

Choice = TypeVar("Choice", bound=StrEnum)
_Texts = list[str]


class Form:
    """What was typed and chosen. Nothing is believed of it: a field may be missing, given twice, or hold anything."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        """A field's text as it was typed; "" where it is missing."""
        return self._fields.get(name, [""])[-1]

    def line(self, name: str) -> str:
        """A field's text without the white space around it."""
        return self.text(name).strip()

    def list(self, name: str) -> _Texts:
        """Every value of a field, as a set of checkboxes sends them."""
        return list(self._fields.get(name, ()))

    def lines(self, name: str) -> _Texts:
        """What was typed into a field line by line; a comma or a space ends a line too."""
        return self.text(name).replace(",", " ").split()

    def has(self, name: str) -> bool:
        """Whether a field was sent: a box is ticked, a button was pressed."""
        return name in self._fields

    def integer(self, name: str) -> int | None:
        """A whole number; None where nothing was typed. Raises ``validation_error``."""
        text = self.line(name).replace("\u202f", "").replace(" ", "")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise invalid(name, "must be a whole number")
        return int(text)

    def choice(self, name: str, choices: type[Choice]) -> Choice | None:
        """One of ``choices``; None where nothing was chosen. Raises ``validation_error``."""
        text = self.line(name)
        if not text:
            return None
        try:
            return choices(text)
        except ValueError:
            raise invalid(name, f"must be one of {', '.join(choices)}") from None


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The form in a request's body. Raises ``payload_too_large``, ``unsupported_media_type`` and ``bad_request``."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 9 or int(length) > MAX_FORM_BYTES):
        raise _too_large()
    body = await request.body()
    if len(body) > MAX_FORM_BYTES:
        raise _too_large()
    if body and request.content_type[0].lower() != _MEDIA_TYPE:
        raise DomainError(Code.UNSUPPORTED_MEDIA_TYPE, "A form is sent by a browser, as the page has it.")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise _unreadable() from error
    if any("\0" in value for _, value in fields):
        # Nobody types it, and PostgreSQL takes it in no text.
        raise _unreadable()
    return Form(fields)


def query_of(request: Request[Any, Any, Any]) -> Form:
    """The query of a page's address, read in the same way. Raises ``bad_request``."""
    try:
        return Form(
            parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        )
    except ValueError as error:
        raise DomainError(Code.BAD_REQUEST, "The address could not be read.") from error


def messages(error: DomainError) -> Mapping[str, str]:
    """What is wrong in whole sentences, by field, for a page that is shown again. Raises an error of another kind.

    "allowed_ips.1" is said of the field "allowed_ips".
    """
    if error.code is not Code.VALIDATION_ERROR:
        raise error
    found: dict[str, str] = {}
    for each in error.errors or [FieldError(field="", message=error.detail)]:
        field = each.field.partition(".")[0]
        found.setdefault(field, sentence(field, each.message))
    return found


def _unreadable() -> DomainError:
    return DomainError(Code.BAD_REQUEST, "The form could not be read. Go back, and send it again.")


def _too_large() -> DomainError:
    return DomainError(Code.PAYLOAD_TOO_LARGE, "The form is larger than 64 KiB.")
