"""Bars as SVG, readable in light and dark: colours come from the reader's own scheme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _LABELS, _FIGURES, _ROW, _BAR, _TOP = 760, 240, 90, 30, 18, 34

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.good { fill: #1a7f5a } .bad { fill: #b35900 } .line { stroke: #6e7781; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .good { fill: #4cc38a } .bad { fill: #f0a04b } .line { stroke: #8b949e }
}"""


def bars(
    title: str, rows: Sequence[tuple[str, float]], form: str, *, good_until: float, line_at: float | None = None
) -> str:
    """A bar for each row, with its figure in ``form``; those beyond ``good_until`` have another colour and a mark."""
    longest = max([value for _, value in rows] + [line_at or 0.0]) or 1.0
    scale = (_WIDTH - _LABELS - _FIGURES) / longest
    height = _TOP + _ROW * len(rows) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"',
        f'  aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
    ]
    for number, (label, value) in enumerate(rows):
        top, good = _TOP + _ROW * number, value <= good_until
        width, colour = value * scale, "good" if good else "bad"
        parts += [
            f'<text x="8" y="{top + 14}">{escape(label)}</text>',
            f'<rect class="{colour}" x="{_LABELS}" y="{top}" width="{max(1.0, width):.1f}" height="{_BAR}"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{top + 14}">{value:{form}}{"" if good else " !"}</text>',
        ]
    if line_at is not None:
        at = _LABELS + line_at * scale
        parts.append(f'<line class="line" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{height - 6}"/>')
    return "\n".join([*parts, "</svg>", ""])
