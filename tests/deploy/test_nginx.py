"""The configuration of nginx in ``deploy/``, run by nginx before a real node and one that is not there."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, running
from tests.support.nginx import NAME, Nginx
from tests.support.valkey import free_port


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A node behind the proxy."""
    variables = {"AITBC_TRUSTED_PROXIES": "127.0.0.1", "AITBC_PUBLIC_URL": f"https://{NAME}"}
    with running("serve", data_dir=tmp_path_factory.mktemp("nginx") / "data", variables=variables) as server:
        server.create_tenant("acme", plan="pro")
        yield server


@pytest.fixture(scope="module")
def proxy(node: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx before that node and one that does not run."""
    with Nginx(tmp_path_factory.mktemp("proxy"), [free_port(), node.port]).running() as nginx:
        yield nginx


def client(proxy: Nginx, key: str = "", source: str | None = None) -> httpx2.Client:
    """A client that checks the certificate; ``source`` is the address that it comes from."""
    transport = httpx2.HTTPTransport(verify=ssl.create_default_context(cafile=proxy.authority), local_address=source)
    headers = {"Host": NAME} | ({"X-API-Key": key} if key else {})
    return httpx2.Client(base_url=f"https://127.0.0.1:{proxy.https}", transport=transport, headers=headers, timeout=20)


def extensions() -> dict[str, str]:
    """TLS for the name that the certificate is for."""
    return {"sni_hostname": NAME}


def test_the_file_is_one_that_nginx_takes(proxy: Nginx) -> None:
    """No error and no warning."""
    ran = subprocess.run(proxy.command("-t"), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "[warn]" not in ran.stderr
    assert "[warn]" not in proxy.errors()


def test_a_node_that_is_away_is_not_noticed(proxy: Nginx, node: ServerProcess) -> None:
    """Whatever the method, the next node is asked where nothing was sent; each job is made once."""
    key = node.create_key("acme", "client")
    with client(proxy, key) as http:
        for _ in range(12):
            made = http.post("/v1/jobs", json={"payload": {"type": "sleep"}}, extensions=extensions())
            assert made.status_code == 201
            assert http.get(f"/v1/jobs/{made.json()['job_id']}", extensions=extensions()).status_code == 200
        assert len(http.get("/v1/jobs", extensions=extensions()).json()["items"]) == 12
    with client(proxy, node.create_key("acme", "gateway")) as http:
        verified = http.post("/v1/api-keys/verify", json={"key": key}, extensions=extensions())
    assert verified.json()["code"] == "VALID"


@contextmanager
def ending() -> Iterator[tuple[int, list[bytes]]]:
    """(port, what came): a node that takes requests and ends each connection without a word."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            while True:
                connection, _ = listening.accept()
                with connection:
                    came.append(connection.recv(65536))
                    if came[-1] == b"":
                        return

        thread = Thread(target=take)
        thread.start()
        yield listening.getsockname()[1], came
        socket.create_connection(listening.getsockname()).close()
        thread.join()


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/api-keys/verify"])
def test_what_was_sent_is_not_sent_again(tmp_path: Path, path: str) -> None:
    """A node that ends amid a request may have done it: a job is not made twice, nor a limit taken from twice."""
    with ending() as (one, came), ending() as (other, came_too), Nginx(tmp_path, [one, other]).running() as proxy:
        with client(proxy) as http:
            assert http.post(path, json={}, extensions=extensions()).status_code == 503
        assert len(came + came_too) == 1


def test_a_client_is_who_came_and_not_who_it_says(proxy: Nginx, node: ServerProcess) -> None:
    """The address that a client makes up is not believed, the one that it comes from is. ASVS 4.1.3."""
    key = node.create_key("acme", "client")
    invented = {"X-Forwarded-For": "203.0.113.9"}
    with client(proxy, key, source="127.0.0.5") as http:
        for _ in range(2):
            shown = http.get("/v1/api-keys/self", headers=invented, extensions=extensions()).json()
            time.sleep(0.1)
    assert shown["key"]["last_used_ip"] == "127.0.0.5"


def test_the_server_says_no_in_its_own_words(proxy: Nginx, node: ServerProcess) -> None:
    """A body that is too long, and a long poll, are the server's business; the answer carries its request id."""
    with client(proxy, node.create_key("acme", "manager")) as http:
        long = http.post("/v1/jobs", json={"payload": {"text": "x" * (1 << 20)}}, extensions=extensions())
        assert (long.status_code, long.json()["code"]) == (413, "payload_too_large")
        assert long.headers["x-request-id"] == long.json()["request_id"]
    with client(proxy, node.create_key("acme", "miner")) as http:
        http.post("/v1/miners/register?miner_id=m", json={"capabilities": {}}, extensions=extensions())
        began = time.monotonic()
        polled = http.post("/v1/miners/poll", json={"max_wait_seconds": 1}, extensions=extensions())
        assert polled.status_code in {200, 204}
        assert polled.status_code == 200 or time.monotonic() - began >= 1


def test_nothing_is_answered_unencrypted(proxy: Nginx) -> None:
    """Pages lead to HTTPS; the API refuses, so that nobody keeps sending keys for all to read. ASVS 12.2.1."""
    plain = f"http://127.0.0.1:{proxy.http}"
    page = httpx2.get(f"{plain}/sign-in", headers={"Host": NAME})
    assert (page.status_code, page.headers["location"]) == (308, f"https://{NAME}/sign-in")
    assert httpx2.get(f"{plain}/v1/jobs", headers={"Host": NAME}).status_code == 403


def test_the_log_holds_no_secret(proxy: Nginx, node: ServerProcess) -> None:
    """Neither keys nor what stands behind a question mark are written; the server's request id is. ASVS 16.2.5."""
    key = node.create_key("acme", "client")
    with client(proxy, key) as http:
        answer = http.get("/reset-password?token=very-secret", extensions=extensions())
        http.get("/v1/api-keys/self", extensions=extensions())
    deadline = time.monotonic() + 5
    while answer.headers["x-request-id"] not in (log := proxy.log.read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    assert "very-secret" not in log
    assert key not in log


def test_without_any_node_the_error_has_the_usual_shape(tmp_path: Path) -> None:
    """503 as the server would say it, with when to come again."""
    with Nginx(tmp_path, [free_port(), free_port()]).running() as lonely, client(lonely) as http:
        for method in ("GET", "POST"):
            answer = http.request(method, "/v1/jobs", extensions=extensions())
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "1"
