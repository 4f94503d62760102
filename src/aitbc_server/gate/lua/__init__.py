"""The scripts of the shared store, in Lua; each file says what it is called with and what it answers."""

from __future__ import annotations

from importlib.resources import files


def lua(name: str) -> str:
    """The text of one of the files here."""
    return (files(__name__) / name).read_text(encoding="utf-8")
