"""The query of a path that takes no parameters, and the one error for parameters that a path does not take."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from aitbc.schemas.problem import FieldError
from aitbc_server.errors import Code, DomainError

# A caller's own names come back in the error: a thousand of them help nobody.
_MAX_ERRORS = 5
_MAX_NAME = 100


def refuse_parameters(query: bytes) -> None:
    """Raise ``validation_error`` where a path that takes no parameters is given some. (ASVS 2.2.1)"""
    errors = [unknown(name) for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    if errors:
        raise wrong_query(errors)


def unknown(name: str) -> FieldError:
    """A parameter that the path does not take."""
    return FieldError(field=name[:_MAX_NAME] or "query", message="is not a query parameter of this path")


def wrong_query(errors: Sequence[FieldError]) -> DomainError:
    """The ``validation_error`` for wrong parameters."""
    shown = errors[:_MAX_ERRORS]
    detail = "; ".join(f"{error.field}: {error.message}" for error in shown)
    return DomainError(Code.VALIDATION_ERROR, detail, errors=shown)
