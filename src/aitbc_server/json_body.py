"""How a request's JSON body is read: strictly, into the handler's own type, with errors that name the field."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.routing import without_none
from aitbc_server.validation import BODY, field_error


class JsonRequest(Request[Any, Any, Any]):
    """The framework's request, but for the body.

    The framework would take "5" for 5 in a body as it must in a query, read a form as if it were JSON, and say
    less of what is wrong. (ASVS 2.2.1)
    """

    async def body(self) -> bytes:
        """The whole body. Raises ``bad_request`` where the client goes away in the middle of it."""
        try:
            return await super().body()
        except InternalServerException as error:
            # The framework's word for it; it is not our failure, and no stack belongs into the log.
            raise DomainError(Code.BAD_REQUEST, "The body ended before its time.") from error

    async def json(self) -> Any:
        """The body, which is not empty, as the type of the handler's ``data``.

        Raises ``validation_error``, ``bad_request`` and ``unsupported_media_type``.
        """
        wanted = self.route_handler.parsed_data_field
        assert wanted is not None
        self._refuse_other_types()
        # A body may be left out; "null" is not one that is left out.
        return decode(await self.body(), without_none(wanted.annotation))

    def _refuse_other_types(self) -> None:
        # None at all is let through: many a small client sends JSON without saying so.
        media_type = self.content_type[0].lower()
        if media_type and media_type != "application/json" and not media_type.endswith("+json"):
            raise DomainError(
                Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as JSON, with the header Content-Type: application/json."
            )


def decode(body: bytes, wanted: Any) -> Any:
    """The JSON ``body`` as ``wanted``, a type. Raises ``validation_error`` with the field, or ``bad_request``."""
    try:
        return _decoder(wanted).decode(body)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), wanted)
        raise invalid(wrong.field, wrong.message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainError(Code.BAD_REQUEST, f"The body is not valid JSON in UTF-8: {error}.") from error
    except RecursionError as error:
        raise invalid(BODY, "is nested too deep") from error


@lru_cache(maxsize=256)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)
