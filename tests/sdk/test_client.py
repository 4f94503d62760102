"""Making a client: arguments, environment, headers, an HTTP client of one's own, closing."""

from __future__ import annotations

import traceback
from typing import Any

import httpx2
import pytest
from tests.sdk.conftest import KEY, Sdk
from tests.sdk.samples import JOB
from tests.sdk.scripted import Answer, Drop, ScriptedServer

from aitbc import AITBCClient, AsyncAITBCClient
from aitbc.exceptions import AITBCError, APIConnectionError, AuthenticationError

CLIENTS = [AITBCClient, AsyncAITBCClient]


def get_job(client: Any) -> Any:
    return client.jobs.get("job_1")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without our variables."""
    for variable in ("AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def test_headers(sdk: Sdk) -> None:
    """The key, the program and its version, and no tenant where none was chosen."""
    sdk.server.answers(Answer(JOB))
    sdk(get_job)
    headers = sdk.server.last.headers
    assert headers["x-api-key"] == KEY
    assert headers["user-agent"] == "aitbc-python/0.1.0"
    assert headers["accept"] == "application/json"
    assert "x-tenant-id" not in headers
    assert "authorization" not in headers
    assert "content-type" not in headers


def test_a_body_says_what_it_is(sdk: Sdk) -> None:
    """JSON goes with its content type. ASVS 4.1.1."""
    sdk.server.answers(Answer(JOB))
    sdk(lambda client: client.jobs.create({"a": "ü"}))
    assert sdk.server.last.headers["content-type"] == "application/json"


@pytest.mark.parametrize("tenant_id", ["acme", ""])
def test_a_tenant_that_was_passed_is_sent(sdk: Sdk, tenant_id: str) -> None:
    """An empty tenant id too: the server refuses it, where leaving it out would read the key's own tenant."""
    sdk.server.answers(Answer(JOB))
    sdk(get_job, tenant_id=tenant_id)
    assert sdk.server.last.headers["x-tenant-id"] == tenant_id


def test_the_environment_fills_what_is_not_passed(sdk: Sdk, environment: pytest.MonkeyPatch) -> None:
    """AITBC_API_KEY, AITBC_BASE_URL and AITBC_TENANT_ID are read when the client is made."""
    environment.setenv("AITBC_API_KEY", "from-env")
    environment.setenv("AITBC_BASE_URL", sdk.server.url + "/")
    environment.setenv("AITBC_TENANT_ID", "acme")
    sdk.server.answers(Answer(JOB), Answer(JOB))
    sdk(get_job, api_key=None, base_url=None)
    assert sdk.server.last.target == "/v1/jobs/job_1"
    assert sdk.server.last.headers["x-api-key"] == "from-env"
    assert sdk.server.last.headers["x-tenant-id"] == "acme"
    sdk(get_job, base_url=None, tenant_id="other")
    assert sdk.server.last.headers["x-api-key"] == KEY
    assert sdk.server.last.headers["x-tenant-id"] == "other"


@pytest.mark.parametrize("client_class", CLIENTS)
def test_empty_variables_count_as_not_set(client_class: Any, environment: pytest.MonkeyPatch) -> None:
    """``AITBC_API_KEY= python ...`` is no key; an empty address is the default one."""
    for variable in ("AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID"):
        environment.setenv(variable, "")
    with pytest.raises(AuthenticationError, match="set the environment variable AITBC_API_KEY") as caught:
        client_class()
    assert caught.value.code == "missing_api_key"
    assert repr(client_class("k")) == (f"{client_class.__name__}(base_url='http://127.0.0.1:8000', tenant_id=None)")


@pytest.mark.parametrize("client_class", CLIENTS)
def test_an_empty_key_is_not_replaced_by_another(client_class: Any, environment: pytest.MonkeyPatch) -> None:
    """A key that was passed and is empty is a mistake to tell, not a reason to use the environment's."""
    environment.setenv("AITBC_API_KEY", "somebody-else")
    with pytest.raises(AuthenticationError, match="that was passed is empty"):
        client_class("")


@pytest.mark.parametrize("client_class", CLIENTS)
@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("", "does not start with http"),
        ("localhost:8000", "does not start with http"),
        ("ftp://example.org", "does not start with http"),
        ("http://", "names no host"),
        ("http://:80", "names no host"),
        ("http://host:0", "port 0"),
        ("http://host:99999", "Port out of range"),
        ("http://host:x", "Port could not be cast"),
        ("http://[::1", "Invalid IPv6"),
        ("http://user:hunter2@host", "must not hold a user name or password"),
        ("http://host/?x=1", "must not hold a query"),
        ("http://host/#x", "must not hold a query or a fragment"),
        ("http://host name", "holds a space"),
        ("http://host\n", "holds a space or a character"),
    ],
)
def test_an_address_that_is_none(client_class: Any, base_url: str, words: str) -> None:
    """A bad base URL is refused when the client is made, with an example, and without showing a password."""
    with pytest.raises(AITBCError, match=words) as caught:
        client_class(KEY, base_url)
    assert "base_url must be an address such as http://127.0.0.1:8000" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_address_from_the_environment_is_named_so(environment: pytest.MonkeyPatch) -> None:
    """The message names the variable that is wrong."""
    environment.setenv("AITBC_BASE_URL", "nonsense")
    with pytest.raises(AITBCError, match="AITBC_BASE_URL must be an address"):
        AITBCClient(KEY)


def test_an_address_that_only_the_http_library_refuses(sdk: Sdk) -> None:
    """A host that cannot be a host is an error of this package at the call."""
    with pytest.raises(AITBCError):
        sdk(get_job, base_url="http://xn--\u00e9\u0301.a..b")


def test_a_path_in_the_address_is_kept(sdk: Sdk) -> None:
    """A server behind a prefix is reached there."""
    sdk.server.answers(Answer(JOB))
    sdk(get_job, base_url=f"{sdk.server.url}/compute/")
    assert sdk.server.last.target == "/compute/v1/jobs/job_1"


@pytest.mark.parametrize("client_class", CLIENTS)
@pytest.mark.parametrize("bad", [{"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"max_retries": -1}])
def test_numbers_that_cannot_be(client_class: Any, bad: dict[str, Any]) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        client_class(KEY, **bad)


@pytest.mark.parametrize(("client_class", "http_client"), [(AITBCClient, object()), (AsyncAITBCClient, object())])
def test_an_http_client_of_the_wrong_kind(client_class: Any, http_client: object) -> None:
    """The mix-up of httpx2.Client and AsyncClient is told when the client is made."""
    with pytest.raises(TypeError, match="http_client must be an httpx2"):
        client_class(KEY, http_client=http_client)


def test_an_http_client_of_ones_own_is_used_and_left_open(server: ScriptedServer) -> None:
    """Its headers go along, its redirects stay off for our calls, and closing it is its owner's."""
    server.answers(Answer(JOB), Answer(b"", 302, {"Location": server.url}))
    with httpx2.Client(headers={"X-Proxy-Auth": "p"}, follow_redirects=True) as http:
        with AITBCClient(KEY, server.url, http_client=http) as client:
            client.jobs.get("job_1")
            with pytest.raises(AITBCError, match="Redirects are not followed"):
                client.jobs.get("job_1")
        assert not http.is_closed
    assert server.last.headers["x-proxy-auth"] == "p"
    assert len(server.requests) == 2


async def test_an_async_http_client_of_ones_own_is_used_and_left_open(server: ScriptedServer) -> None:
    """The same, awaited."""
    server.answers(Answer(JOB), Answer(b"", 302, {"Location": server.url}))
    async with httpx2.AsyncClient(headers={"X-Proxy-Auth": "p"}, follow_redirects=True) as http:
        async with AsyncAITBCClient(KEY, server.url, http_client=http) as client:
            await client.jobs.get("job_1")
            with pytest.raises(AITBCError, match="Redirects are not followed"):
                await client.jobs.get("job_1")
        assert not http.is_closed
    assert server.last.headers["x-proxy-auth"] == "p"
    assert len(server.requests) == 2


def test_a_closed_client_says_so(sdk: Sdk) -> None:
    """Using a client after its end is the program's mistake, and is told as one."""
    kept: list[Any] = []
    sdk(kept.append)
    with pytest.raises(RuntimeError, match="closed"):
        kept[0].jobs.get("job_1") if sdk.kind == "sync" else sdk(lambda _: kept[0].jobs.get("job_1"))


@pytest.mark.parametrize("step", [Drop(), Answer(b"", 401), Answer(b"<html>")])
def test_the_key_is_never_shown(sdk: Sdk, step: Any) -> None:
    """Not in the repr of a client or of what it holds, nor in any error with all its causes. ASVS 16.2.5."""
    sdk.server.answers(step)
    shown: list[str] = []

    def use(client: Any) -> Any:
        shell = client._shell
        shown.extend(map(repr, (client, shell, shell.exchange, client._config)))
        return client.miners.poll()

    with pytest.raises(AITBCError) as caught:
        sdk(use)
    shown.extend(traceback.format_exception(caught.value))
    assert KEY not in "".join(shown)


def test_a_connection_error_keeps_its_cause(sdk: Sdk) -> None:
    """What the HTTP library said is one step away."""
    sdk.server.answers(Drop())
    with pytest.raises(APIConnectionError) as caught:
        sdk(get_job, max_retries=0)
    assert isinstance(caught.value.__cause__, httpx2.TransportError)


def test_an_error_that_is_not_of_http_is_left_alone(server: ScriptedServer) -> None:
    """A hook's own exception passes through unchanged."""

    def hook(request: httpx2.Request) -> None:
        raise LookupError(request.method)

    with (
        httpx2.Client(event_hooks={"request": [hook]}) as http,
        pytest.raises(LookupError, match="GET"),
    ):
        AITBCClient(KEY, server.url, http_client=http).jobs.get("job_1")
