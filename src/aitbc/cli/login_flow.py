"""What ``aitbc login`` says to the server (RFC 8628): it asks for two codes, then for the key until it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from aitbc.cli.errors import EXIT_NOT_ALLOWED, CommandError
from aitbc.exceptions import APIConnectionError
from aitbc.schemas.device import CLIENT_ID, GRANT_TYPE, DeviceAuthorization, DeviceToken, OAuthProblem

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

_TIMEOUT_S = 10.0
_SLOWER_BY_S = 5.0
_LONGEST_WAIT_S = 60.0


class SignIn:
    """One sign-in at the server ``url``. ``clock`` tells seconds that never run backwards."""

    def __init__(
        self, url: str, *, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        import httpx2

        self._url = url
        self._http = httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False)
        self._sleep = sleep
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def begin(
        self, *, client_name: str, preset: str, environment: str | None, tenant_id: str | None
    ) -> DeviceAuthorization:
        """The codes. Raises CommandError, and APIConnectionError where nobody answers."""
        wanted = {"client_name": client_name, "preset": preset, "environment": environment, "tenant_id": tenant_id}
        answer = self._post("/oauth/device_authorization", wanted)
        if answer.status_code == 200:
            return self._read(answer, DeviceAuthorization)
        if answer.status_code in {401, 404, 405}:
            raise CommandError(
                f"{self._url} has no sign-in for command lines",
                hint="it may be an older release: export AITBC_API_KEY=... in place of it",
            )
        raise self._refused(answer)

    def wait(self, begun: DeviceAuthorization) -> DeviceToken:
        """The key, once somebody has approved. Raises CommandError where nobody did, or somebody refused."""
        ends_s = self._clock() + begun.expires_in
        wait_s = float(begun.interval)
        while self._clock() + wait_s < ends_s:
            self._sleep(wait_s)
            try:
                answer = self._post("/oauth/token", {"grant_type": GRANT_TYPE, "device_code": begun.device_code})
            except APIConnectionError:
                # It may be there again in a moment (RFC 8628, 3.5); the code goes on living meanwhile.
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                continue
            if answer.status_code == 200:
                return self._read(answer, DeviceToken)
            wait_s = self._next_wait_s(answer, wait_s, begun.interval)
        raise _expired()

    def _next_wait_s(self, answer: httpx2.Response, wait_s: float, interval_s: float) -> float:
        """How long to wait before asking again. Raises CommandError where asking again is of no use."""
        if answer.status_code >= 500:
            return min(wait_s * 2, _LONGEST_WAIT_S)
        problem = self._read(answer, OAuthProblem)
        if problem.error == "authorization_pending":
            # After an outage, too, the server is asked as often as it said.
            return max(min(wait_s, _LONGEST_WAIT_S), interval_s)
        if problem.error == "slow_down":
            told = answer.headers.get("retry-after", "")
            return max(wait_s + _SLOWER_BY_S, float(told) if told.isdigit() else 0.0)
        if problem.error == "access_denied":
            raise CommandError(f"the sign-in was refused: {problem.error_description}", exit_code=EXIT_NOT_ALLOWED)
        if problem.error == "expired_token":
            raise _expired()
        raise self._refused(answer)

    def _post(self, path: str, parameters: dict[str, str | None]) -> httpx2.Response:
        import httpx2

        form = {name: value for name, value in parameters.items() if value is not None} | {"client_id": CLIENT_ID}
        try:
            return self._http.post(self._url + path, data=form, headers={"accept": "application/json"})
        except httpx2.TransportError as error:
            raise APIConnectionError(f"POST {self._url}{path}: no answer") from error

    def _refused(self, answer: httpx2.Response) -> CommandError:
        problem = self._read(answer, OAuthProblem)
        return CommandError(f"the server refused the sign-in: {problem.error_description} ({problem.error})")

    def _read(self, answer: httpx2.Response, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CommandError(
                f"what answers at {self._url} is no AITBC server (HTTP {answer.status_code})",
                hint="--base-url or AITBC_BASE_URL name the server",
            ) from error


def _expired() -> CommandError:
    return CommandError("the code expired before anybody approved it", hint="run the command again")
