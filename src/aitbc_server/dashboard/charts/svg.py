"""Elements of SVG and HTML, with everything in them escaped."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

#: What an attribute may be: None leaves it out.
Value = str | int | float | None


def element(name: str, *children: str, **attributes: Value) -> Markup:
    """``<name attributes>children</name>``. Text is escaped, Markup goes in as it is.

    ``class_`` stands for ``class``, and an underscore for a hyphen: ``text_anchor="middle"``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")  # noqa: S704 - both parts are escaped above


def joined(parts: Sequence[str]) -> Markup:
    """The parts one after the other, those that are plain text escaped."""
    return Markup("").join(parts)


def percent(part: float) -> str:
    """A share of the whole, where 1.0 is all of it, as ``12.5%``."""
    return f"{_text(round(part * 100, 2))}%"


def _text(value: str | float) -> str:
    """A number in as few characters as it takes: a chart has hundreds of them."""
    if isinstance(value, float):
        return f"{round(value, 3):.3f}".rstrip("0").rstrip(".")
    return str(value)
