"""A host and a port in one text."""

from __future__ import annotations


def host_port(host: str, port: int) -> str:
    """Such as ``127.0.0.1:8000``; an address of version 6 stands in brackets, ``[::1]:8000``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
