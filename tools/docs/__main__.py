"""Write the generated parts of the documentation.

python -m tools.docs            rewrite what is stale
python -m tools.docs --check    say what is stale, and exit with 1 if anything is
"""

from __future__ import annotations

import sys

from tools.docs import pages
from tools.docs.generators import GENERATORS


def main(arguments: list[str]) -> int:
    """Rewrite, or check."""
    check = arguments == ["--check"]
    if arguments and not check:
        print(__doc__, file=sys.stderr)
        return 2
    stale = pages.stale(GENERATORS)
    for path, text in stale.items():
        print(f"{path.relative_to(pages.DOCS.parent)} {'is stale' if check else 'rewritten'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
