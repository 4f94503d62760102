"""What docs/explanation/security.md says of accounts is what the code does."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from aitbc_server.users import limits
from aitbc_server.users.limits import Rule
from aitbc_server.users.sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "src/aitbc_server"

_LIMIT = re.compile(r"^\| [^|]+ \| (\d+) (an hour|in (\d+) minutes) \| [^|]+ \|$", re.MULTILINE)


def page() -> str:
    return (ROOT / "docs/explanation/security.md").read_text(encoding="utf-8")


def words() -> str:
    """The page's text as it is read, wherever its lines break."""
    return " ".join(page().split())


def test_the_ends_of_a_session_are_written_down() -> None:
    """Both timeouts of sessions are explained, beside what NIST SP 800-63B allows (ASVS 7.1.1)."""
    hours, days = IDLE_TIMEOUT.total_seconds() / 3600, ABSOLUTE_TIMEOUT.days
    said = f"A session ends {hours:.0f} hours after it was last used and {days} days after the sign-in."
    assert said in words()
    assert "NIST SP 800-63B" in words()


def test_every_limit_on_guessing_is_written_down() -> None:
    """The table of limits has each rule, and no other; that nobody is locked out is said (ASVS 6.1.1)."""
    rules = Counter((each.limit, each.window_s) for each in vars(limits).values() if isinstance(each, Rule))
    told = Counter((int(row[1]), int(row[3] or 60) * 60) for row in _LIMIT.finditer(page()))
    assert told == rules
    assert "They lock nobody out for good." in words()


def test_every_way_to_a_session_is_written_down() -> None:
    """Sessions begin at the sign-in and at the two links that are mailed, and the page says so (ASVS 6.1.3)."""
    begin = {
        str(path.relative_to(SERVER))
        for path in SERVER.rglob("*.py")
        if re.search(r"(?:parts\.let_in|sessions\.start)\(", path.read_text(encoding="utf-8"))
    }
    assert begin == {"users/parts.py", "users/sign_in.py", "users/sign_up.py", "users/recovery.py"}
    assert "the password, or a mailed link that sets a new one" in words()
    assert "ends with a mailed link *and* that password" in words()
