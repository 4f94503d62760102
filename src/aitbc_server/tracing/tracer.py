"""Spans, made for a share of what happens and sent away in the background. No span holds a secret. (ASVS 16.2.5)"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

from aitbc._version import __version__
from aitbc_server.clock import to_ms
from aitbc_server.ids import new_id
from aitbc_server.jobs.model import JobRow
from aitbc_server.serving.errors import StartError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanKind

logger = logging.getLogger(__name__)

# A stop waits no longer for spans to be sent: they are worth less than what is stored then.
_AT_THE_END_S = 0.5
_EXPORT_TIMEOUT_S = 5.0
_NS_PER_MS = 1_000_000


class Tracer:
    """Makes spans. ``share`` of all requests and jobs have one; whether one has is drawn, never asked of the caller."""

    def __init__(self, exporter: SpanExporter, share: float, draw: Callable[[], float] = random.random) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        about = {"service.name": "aitbc", "service.version": __version__, "service.instance.id": new_id("run")}
        # Which of them exist was drawn before a span is begun: requests without one never come here.
        provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.create(about), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._trace = trace
        self._provider: TracerProvider = provider
        self._tracer = provider.get_tracer("aitbc", __version__)
        self._share = share
        self._draw = draw

    def is_drawn(self) -> bool:
        """Whether this one is traced."""
        return self._draw() < self._share

    @property
    def is_recording(self) -> bool:
        """Whether what runs now belongs to a request that is traced."""
        return self._trace.get_current_span().is_recording()

    def request(self, name: str) -> AbstractContextManager[Span]:
        """A request's span; what is begun inside the block lies within it."""
        return self._current(name, self._trace.SpanKind.SERVER)

    def part(self, name: str) -> AbstractContextManager[Span]:
        """A part of what runs now."""
        return self._current(name, self._trace.SpanKind.INTERNAL)

    @contextmanager
    def _current(self, name: str, kind: SpanKind) -> Iterator[Span]:
        # An exception's text and its stack may hold anything: the library would send both.
        with self._tracer.start_as_current_span(
            name, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(self._trace.StatusCode.ERROR)
                raise

    def job_ended(self, row: JobRow) -> None:
        """A span of a job's whole life, which took part in many requests, on several nodes."""
        if row.finished_at is None or not self.is_drawn():
            return
        span = self._tracer.start_span(
            "job",
            context=self._trace.set_span_in_context(self._trace.INVALID_SPAN),
            start_time=to_ms(row.requested_at) * _NS_PER_MS,
            attributes={
                "aitbc.job.id": row.id,
                "aitbc.job.state": str(row.state),
                "aitbc.job.attempts": row.attempts,
                "aitbc.tenant.id": row.tenant_id,
                "aitbc.environment": str(row.environment),
            },
        )
        span.end(to_ms(row.finished_at) * _NS_PER_MS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send what is left when the block is left, as far as that is quick."""
        try:
            yield
        finally:
            loop, sent = asyncio.get_running_loop(), asyncio.Event()

            def send() -> None:
                self._provider.force_flush(int(_AT_THE_END_S * 1000))
                with contextlib.suppress(RuntimeError):
                    # The loop is closed where nobody waits any more.
                    loop.call_soon_threadsafe(sent.set)

            # The process ends without waiting for a daemon, whatever the collector does.
            Thread(target=send, name="sending the last traces", daemon=True).start()
            try:
                async with asyncio.timeout(2 * _AT_THE_END_S):
                    await sent.wait()
            except TimeoutError:
                logger.warning("the last traces could not be sent in time")


def tracer_to(url: str, share: float) -> Tracer:
    """Sends spans to an OTLP collector. Raises StartError where the libraries for it are not installed."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        raise StartError("AITBC_TRACES_URL needs OpenTelemetry", hint="pip install 'aitbc[otel]'")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from aitbc_server.tracing.sending import TellingExporter, silence_libraries

    silence_libraries()
    return Tracer(TellingExporter(OTLPSpanExporter(endpoint=url, timeout=_EXPORT_TIMEOUT_S)), share)
