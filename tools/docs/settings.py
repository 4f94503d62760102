"""The server's settings, from the table that reads them."""

from __future__ import annotations

from collections.abc import Iterator

from aitbc_server.setting_rows import SETTINGS, Setting


def reference() -> str:
    """A section for each variable."""
    return "\n\n".join(part for setting in SETTINGS for part in _section(setting))


def _section(setting: Setting) -> Iterator[str]:
    yield f"### `{setting.name}`"
    yield setting.meaning
    lines = [f"- Expects {setting.expected}.", f"- Default: {_value(setting.default)}."]
    if setting.example and not setting.example.startswith("("):
        lines.append(f"- Example: {_value(setting.example)}")
    if setting.secret:
        lines.append("- A secret: no message and no log shows its value.")
    yield "\n".join(lines)


def _value(text: str) -> str:
    """Text of the table as code, unless it is words about a value."""
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1]
    return text if "`" in text or " " in text else f"`{text}`"
