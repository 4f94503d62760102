"""The query of a path that takes no parameters."""

from __future__ import annotations

import pytest
from tests.gate.factories import key
from tests.gate.served import Served

from aitbc_server.errors import DomainError
from aitbc_server.gate.query import refuse_parameters


@pytest.mark.parametrize("query", [b"", b"&", b"&&&"])
def test_no_parameter_is_none_too_many(query: bytes) -> None:
    """What names nothing asks for nothing."""
    refuse_parameters(query)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (b"x", ["x"]),
        (b"a=1&b=2", ["a", "b"]),
        (b"=", ["query"]),
        (b"%C3%A9=%ff", ["é"]),
        (b"&".join(b"p%d=" % number for number in range(9)), [f"p{number}" for number in range(5)]),
        (b"a" * 4000, ["a" * 100]),
    ],
)
def test_parameters_are_refused_by_their_names(query: bytes, fields: list[str]) -> None:
    """A few of them, cut where they are long. ASVS 2.2.1."""
    with pytest.raises(DomainError) as caught:
        refuse_parameters(query)
    assert caught.value.code == "validation_error"
    assert [error.field for error in caught.value.errors] == fields
    assert {error.message for error in caught.value.errors} == {"is not a query parameter of this path"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/api-keys/self"), ("POST", "/v1/api-keys/verify")])
async def test_what_the_gate_answers_itself_takes_none(method: str, path: str) -> None:
    """Whether the key is cached or not."""
    served = Served()
    served.add_key("k", key(scopes=["api_keys:verify"]))
    for _ in range(2):
        answer = await served.call(method, f"{path}?x=1", "k")
        assert (answer.status, answer.json["code"]) == (422, "validation_error")
