"""How the gate's own handlers read a body: whole, within 1 MiB, as JSON, with errors that name the field."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import msgspec
import pytest

from aitbc.schemas.api_keys import VerifyApiKey
from aitbc_server.errors import DomainError
from aitbc_server.gate import body as body_module
from aitbc_server.gate.body import read_json
from aitbc_server.json_limits import MAX_BODY_BYTES

DECODER = msgspec.json.Decoder(VerifyApiKey)
JSON = [(b"content-type", b"application/json")]


class Client:
    """Sends a body in chunks, and may hang up before its end."""

    def __init__(self, *chunks: bytes, hangs_up: bool = False) -> None:
        self._messages: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": chunk, "more_body": hangs_up or number + 1 < len(chunks)}
            for number, chunk in enumerate(chunks)
        ]
        self.asked = 0

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message."""
        self.asked += 1
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}


async def read(client: Client, headers: Iterable[tuple[bytes, bytes]] = JSON) -> VerifyApiKey:
    return await read_json(DECODER, list(headers), client.receive)


async def refused(client: Client, headers: Iterable[tuple[bytes, bytes]] = JSON) -> tuple[str, list[str]]:
    """The error's code and fields."""
    with pytest.raises(DomainError) as caught:
        await read(client, headers)
    return caught.value.code, [error.field for error in caught.value.errors]


async def test_a_body_in_chunks_is_one_body() -> None:
    """However it is cut."""
    body = b'{"key":"k","cost":3}'
    assert await read(Client(*(body[i : i + 1] for i in range(len(body))))) == VerifyApiKey(key="k", cost=3)


@pytest.mark.parametrize("media_type", [b"application/json; charset=utf-8", b"Application/JSON", b" application/json "])
async def test_json_is_taken(media_type: bytes) -> None:
    """With parameters, in any case; and without any type, which small clients leave out."""
    assert (await read(Client(b'{"key":"k"}'), [(b"content-type", media_type)])).key == "k"
    assert (await read(Client(b'{"key":"k"}'), [])).key == "k"


@pytest.mark.parametrize("media_type", [b"text/plain", b"application/x-www-form-urlencoded", b"", b"application/jsonp"])
async def test_other_types_are_refused(media_type: bytes) -> None:
    """415 before the body is read. ASVS 4.1.1."""
    client = Client(b'{"key":"k"}')
    assert await refused(client, [(b"content-type", media_type)]) == ("unsupported_media_type", [])
    assert client.asked == 0


async def test_a_body_over_1_mib_is_refused() -> None:
    """Announced: before it is read. Not announced: as soon as it is too large, and not a chunk later."""
    chunk = b"x" * (MAX_BODY_BYTES // 4)
    announced = Client(chunk)
    assert await refused(announced, [*JSON, (b"content-length", b"%d" % (MAX_BODY_BYTES + 1))]) == (
        "payload_too_large",
        [],
    )
    assert announced.asked == 0
    streamed = Client(*[chunk] * 100)
    assert await refused(streamed) == ("payload_too_large", [])
    assert streamed.asked == 5


async def test_a_body_of_1_mib_is_read() -> None:
    """Exactly as much as is allowed; too large a key is another error."""
    body = b'{"key":"%b"}' % (b"k" * (MAX_BODY_BYTES - 10))
    assert len(body) == MAX_BODY_BYTES
    assert await refused(Client(body), [*JSON, (b"content-length", b"%d" % len(body))]) == ("validation_error", ["key"])


async def test_half_a_body_is_no_body() -> None:
    """Whether the client hung up or sent what is no HTTP: it is told so, and the connection ends."""
    with pytest.raises(DomainError, match="ended before its time") as caught:
        await read(Client(b'{"key":"k"}', hangs_up=True))
    assert (caught.value.code, caught.value.headers) == ("bad_request", {"connection": "close"})


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        (b"", "validation_error", ["body"]),
        (b"null", "validation_error", ["body"]),
        (b"[]", "validation_error", ["body"]),
        (b"{}", "validation_error", ["key"]),
        (b'{"key":1}', "validation_error", ["key"]),
        (b'{"key":"k","cost":"3"}', "validation_error", ["cost"]),
        (b'{"key":"k","Key":"k"}', "validation_error", ["Key"]),
        (b"{", "bad_request", []),
        (b"key=k", "bad_request", []),
        (b'{"key":"k"} x', "bad_request", []),
        (b'{"key":"\xff"}', "bad_request", []),
        (b'{"key":"k","cost":NaN}', "bad_request", []),
        (b'{"key":"k","cost":Infinity}', "bad_request", []),
        (b'{"key":"\\ud800"}', "bad_request", []),
        (b'{"key":"k","cost":1e999}', "validation_error", ["cost"]),
        (b'{"x":' + b"[" * 200 + b"]" * 200 + b"}", "validation_error", ["x"]),
        (b'{"key":' + b"[" * 100_000, "validation_error", ["key"]),
    ],
)
async def test_bad_bodies(body: bytes, code: str, fields: list[str]) -> None:
    """400 for what is no JSON, 422 naming the field for what has another shape; never 500. ASVS 2.2.1."""
    assert await refused(Client(body)) == (code, fields)


async def test_nesting_beyond_any_measure() -> None:
    """Also where a field may hold anything, nothing overflows."""
    body = b'{"x":' + b"[" * 200_000
    with pytest.raises(DomainError) as caught:
        await read_json(msgspec.json.Decoder(dict[str, Any]), JSON, Client(body).receive)
    assert (caught.value.code, caught.value.errors[0].field) == ("validation_error", "body")


@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b"application/json; charset=utf-16"),
        (b"content-type", b'application/json; a=b; Charset="latin-1"'),
        (b"content-encoding", b"gzip"),
        (b"content-encoding", b""),
    ],
)
async def test_other_charsets_and_codings_are_refused(header: tuple[bytes, bytes]) -> None:
    """415 before the body is read: nobody else reads the same bytes another way. ASVS 4.1.1, 1.5.3."""
    client = Client(b'{"key":"k"}')
    assert await refused(client, [header]) == ("unsupported_media_type", [])
    assert client.asked == 0


@pytest.mark.parametrize(
    "header", [(b"content-type", b'application/json;charset="UTF-8"'), (b"content-encoding", b"Identity")]
)
async def test_what_says_the_usual_is_taken(header: tuple[bytes, bytes]) -> None:
    """UTF-8, uncompressed, in so many words."""
    assert (await read(Client(b'{"key":"k"}'), [header])).key == "k"


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 19, b"0001048577"])
async def test_an_announced_length_of_any_size_is_too_large(length: bytes) -> None:
    """Also one that Python would refuse to read as a number."""
    assert await refused(Client(b"{}"), [(b"content-length", length)]) == ("payload_too_large", [])


async def test_a_body_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it must come within the time, however many pieces do; the connection ends with the answer."""
    monkeypatch.setattr(body_module, "BODY_DEADLINE_S", 0.05)

    async def receive() -> Mapping[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(DomainError, match=r"did not arrive within 0\.05 s") as caught:
        await read_json(DECODER, JSON, receive)
    assert (caught.value.code, caught.value.headers) == ("bad_request", {"connection": "close"})
