"""What keeps a server or an operator's command from starting."""

from __future__ import annotations


class StartError(Exception):
    """One clear line for the person who typed the command; ``hint`` says what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
