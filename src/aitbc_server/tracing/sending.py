"""Sending spans, with lines of our own for what fails: the libraries' name the URL, which may hold a secret."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

# The exporter, and what it sends with; at each level of theirs.
_LIBRARIES = ("opentelemetry.exporter", "urllib3", "requests")


def silence_libraries() -> None:
    """No line of theirs is written anywhere: they hold the URL, its path or its query. (ASVS 16.2.5)"""
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers[:] = [logging.NullHandler()]
        library.propagate = False


class TellingExporter(SpanExporter):
    """Sends by another exporter, and says once that this fails, and once that it works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Never raises."""
        why = "it does not answer, or refuses them"
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            # Its text may name the URL.
            result, why = SpanExportResult.FAILURE, type(error).__name__
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._is_failing:
            logger.warning("traces do not reach the collector of AITBC_TRACES_URL and are lost: %s", why)
        elif self._is_failing and not failed:
            logger.warning("traces reach the collector of AITBC_TRACES_URL again")
        self._is_failing = failed
        return result

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter."""
        return self._exporter.force_flush(timeout_millis)
