"""Valkey (or Redis): one pipelined connection, found again whenever it is lost."""
