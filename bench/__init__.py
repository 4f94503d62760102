"""The speed goals, measured: ``python -m bench`` (see docs/explanation/benchmarks.md)."""
