"""Traces for OpenTelemetry, where an address for them is set; else nothing of it is imported, and nothing costs."""
