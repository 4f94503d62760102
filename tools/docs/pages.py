"""Pages of which a part is generated: prose around it stays, the part between the markers is replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

BEGIN = "<!-- generated:begin: `python -m tools.docs` writes what follows -->"
END = "<!-- generated:end -->"

DOCS = Path(__file__).parents[2] / "docs"


def with_generated(page: str, generated: str) -> str:
    """``page`` with what stands between its markers replaced. Raises ValueError where it has not one pair of them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise ValueError("the page needs the two markers, once each and in order")
    return f"{before}{BEGIN}\n\n{generated.strip()}\n\n{END}{after}"


def stale(generators: dict[str, Callable[[], str]], docs: Path = DOCS) -> dict[Path, str]:
    """The pages whose generated part is not what the code says now, each with its right text."""
    found = {}
    for name, generate in generators.items():
        path = docs / name
        page = path.read_text(encoding="utf-8")
        wanted = with_generated(page, generate())
        if wanted != page:
            found[path] = wanted
    return found


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def from_docstring(text: str) -> str:
    """A docstring as Markdown: its code marks are doubled, and its first lines are indented unlike the rest."""
    return text.replace("``", "`").strip()
