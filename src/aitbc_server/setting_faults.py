"""What a setting's parser may say about text that it does not take."""

from __future__ import annotations


class NotTakenError(ValueError):
    """What is wrong, for the user to read. It shows nothing of the text, which may be a secret. (ASVS 16.2.5)"""
