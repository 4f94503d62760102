"""What the README and the tutorial tell people to paste works, line by line, on a fresh server."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.snippets import run, snippets

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_what_is_to_be_pasted_works(name: str, beside_dev: Path) -> None:
    """Every block of the page, pasted in its order, succeeds and prints what the page shows of its output."""
    page = (ROOT / name).read_text(encoding="utf-8")
    problems = run(snippets(page), beside_dev)
    assert not problems, "\n\n".join(problems)


def test_the_readme_has_the_snippet_that_the_sdk_promises() -> None:
    """The lines that existing users know are in the README as they are."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    promised = """\
from aitbc import AITBCClient
from aitbc.exceptions import AuthenticationError
client = AITBCClient(api_key="your_api_key")
try:
    client.jobs.create({"name": "image-classification", "type": "ai-inference", \
"model": {"type": "python", "entrypoint": "model.py"}})
except AuthenticationError:
    print("Invalid API key")
"""
    assert f"```python\n{promised}```" in page
