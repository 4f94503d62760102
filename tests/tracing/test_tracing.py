"""Traces: what an operator's collector gets of a real server, and what a server without them never loads."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.e2e.processes import ServerProcess, running

from aitbc_server.serving.errors import StartError
from aitbc_server.settings import SettingError, Settings
from aitbc_server.tracing import sending, tracer

Span = dict[str, Any]


class Collector:
    """Takes what is sent by OTLP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        """All spans so far: their name, ids, and attributes."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        values = {each.key: each.value for each in span.attributes}
                        plain = {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}
                        found.append({"name": span.name, "id": span.span_id, "parent": span.parent_span_id, **plain})
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def finish_a_job(server: ServerProcess, client: str, miner: str) -> str:
    """A job from its beginning to its result."""
    job = httpx2.post(
        f"{server.url}/v1/jobs", headers={"X-API-Key": client}, json={"payload": {"type": "sleep"}}
    ).json()
    with httpx2.Client(base_url=server.url, headers={"X-API-Key": miner}) as http:
        http.post("/v1/miners/register", params={"miner_id": "m"}, json={"capabilities": {}})
        assert http.post("/v1/miners/poll", json={"max_wait_seconds": 5}).json()["job_id"] == job["job_id"]
        assert http.post(f"/v1/miners/{job['job_id']}/result", json={"result": {}}).status_code == 200
    return str(job["job_id"])


def test_requests_decisions_and_jobs_are_traced(tmp_path: Path) -> None:
    """Each has its span with who and what, and none holds a secret. ASVS 16.2.5."""
    with collecting() as collector:
        variables = {"AITBC_TRACES_URL": collector.url, "AITBC_TRACED_SHARE": "1"}
        with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
            server.create_tenant("acme", plan="pro")
            client, miner = server.create_key("acme", "client"), server.create_key("acme", "miner")
            for _ in range(2):
                answer = httpx2.get(f"{server.url}/v1/api-keys/self?token=hidden", headers={"X-API-Key": client})
            httpx2.get(f"{server.url}/v1/jobs/made-up-by-a-caller", headers={"X-API-Key": "nonsense"})
            job_id = finish_a_job(server, client, miner)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 5
        spans = collector.spans()
        sent = b"".join(collector.bodies)
    requests = {span["aitbc.request.id"]: span for span in spans if "aitbc.request.id" in span}
    mine = requests[answer.headers["x-request-id"]]
    # The path takes no parameters.
    assert (mine["http.request.method"], mine["http.response.status_code"]) == ("GET", 422)
    decided = next(span for span in spans if span["parent"] == mine["id"])
    assert decided["name"] == "gate.decide"
    assert (decided["aitbc.code"], decided["aitbc.tenant.id"]) == ("allowed", "acme")
    assert decided["aitbc.key.id"] == f"key_{client.split('_')[2]}"
    assert "invalid_api_key" in {span.get("aitbc.code") for span in spans}
    [job] = [span for span in spans if span["name"] == "job"]
    assert (job["aitbc.job.id"], job["aitbc.job.state"], job["parent"]) == (job_id, "COMPLETED", b"")
    for secret in (client.split("_")[3], miner.split("_")[3], "hidden", "made-up-by-a-caller", "nonsense", "127.0.0.1"):
        assert secret.encode() not in sent


@pytest.mark.parametrize("of", ["request", "part"])
def test_a_failure_is_told_by_its_type_alone(of: str) -> None:
    """An error's text and its stack stay here, whatever they hold; that it failed, and how, is sent. ASVS 16.2.5."""
    exporter = InMemorySpanExporter()
    made = tracer.Tracer(exporter, 1.0)
    secret = "aitbc_live_secret"
    with pytest.raises(LookupError), getattr(made, of)("work"):
        raise LookupError(secret)
    made._provider.shutdown()
    [span] = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    assert span.attributes == {"error.type": "LookupError"}
    assert secret not in span.to_json()


@pytest.mark.parametrize("listens", [True, False], ids=["hangs", "is away"])
def test_a_collector_that_does_not_answer_is_not_noticed(tmp_path: Path, listens: bool) -> None:
    """Requests are answered and the stop takes no longer than it may, whatever becomes of the traces."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        _serve_and_stop(tmp_path / "data", {"AITBC_TRACES_URL": url, "AITBC_TRACED_SHARE": "1"})


def _serve_and_stop(folder: Path, variables: dict[str, str]) -> None:
    with running("serve", data_dir=folder, variables=variables) as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "client")
        assert httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": key}).status_code == 200
        assert server.stop() == 0


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_line_shows_the_address_of_the_collector(tmp_path: Path, level: str) -> None:
    """It may hold a token. That nothing reaches the collector is said in a line of ours. ASVS 16.2.5."""
    variables = {
        "AITBC_TRACES_URL": "http://127.0.0.1:1/hidden-path/traces?token=S3CRETtok",
        "AITBC_TRACED_SHARE": "1",
        "AITBC_LOG_LEVEL": level,
    }
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        httpx2.get(f"{server.url}/v1/health")
        deadline = time.monotonic() + 20
        while "traces do not reach the collector of AITBC_TRACES_URL and are lost" not in server.text():
            assert time.monotonic() < deadline, server.text()
            time.sleep(0.1)
        server.stop()
    assert server.text().count("traces do not reach") == 1
    assert "S3CRET" not in server.text()
    assert "hidden-path" not in server.text()


class Flapping(InMemorySpanExporter):
    """Raises, refuses and takes, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = iter([SpanExportResult.FAILURE, None, SpanExportResult.SUCCESS, SpanExportResult.SUCCESS])

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """What is next."""
        answer = next(self.answers)
        if answer is None:
            raise ConnectionError("http://collector?token=S3CRETtok")
        return answer


def test_that_traces_are_lost_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """And once that they are no more, whichever way it fails."""
    exporter = sending.TellingExporter(Flapping())
    for _ in range(4):
        exporter.export([])
    assert [record.getMessage() for record in caplog.records] == [
        "traces do not reach the collector of AITBC_TRACES_URL and are lost: it does not answer, or refuses them",
        "traces reach the collector of AITBC_TRACES_URL again",
    ]


def test_nothing_is_loaded_without_an_address() -> None:
    """A server that sends no traces does not import what would make them."""
    code = "import aitbc_server.app, sys; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the start says how to get it."""
    monkeypatch.setattr(tracer, "find_spec", lambda _name: None)
    with pytest.raises(StartError) as refused:
        tracer.tracer_to("http://127.0.0.1:4318/v1/traces", 1.0)
    assert refused.value.hint == "pip install 'aitbc[otel]'"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AITBC_TRACES_URL", "127.0.0.1:4318"),
        ("AITBC_TRACES_URL", "http://exa mple/"),
        ("AITBC_TRACES_URL", "http://example/v1\ntraces"),
        ("AITBC_TRACES_URL", "http://example/\0"),
        ("AITBC_TRACES_URL", "http://example..com/"),
        ("AITBC_TRACED_SHARE", "2"),
        ("AITBC_TRACED_SHARE", "some"),
        ("AITBC_TRACED_SHARE", "\u0660.\u0665"),
    ],
)
def test_wrong_settings_are_named(name: str, text: str) -> None:
    """What is no address, and what is no part of all."""
    with pytest.raises(SettingError, match=name):
        Settings.from_env({name: text})
