"""Idempotency keys: a request that comes again does nothing again."""
