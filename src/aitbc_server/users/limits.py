"""How often somebody may try what can be guessed, or have mails sent (ASVS 2.4.1, 6.1.1, 6.3.1).

The windows are the gate's exact ones, stretched to any length. Tries are counted when they begin, so that many at once
are no way around a limit, and given back when they turn out right. Nobody can lock somebody else out for good:

- wrong passwords count for the pair of account and client address: who guesses elsewhere keeps nobody here out;
- none of what strangers use up, in an account or at an address, holds for a browser that the account's owner has signed
  in with before (see ``browsers.py``): it has a limit of its own. Opening a mailed link makes any browser one of those;
- mails that set a password have a limit of their own, which is as long as a link in them is valid: who is held up by it
  has a mail that works, whatever else is sent to them.

Counters are kept in memory, by each process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from aitbc_server.clock import US_PER_S, Clock
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate import limiter
from aitbc_server.gate.limiter import WINDOW_S, WINDOW_US, Log

# An attacker with many addresses must not fill the memory: beyond this, what was tried longest ago is forgotten.
MAX_COUNTERS = 100_000


class Rule(NamedTuple):
    """At most ``limit`` tries in any ``window_s`` for one subject; ``what`` is tried, as people read it."""

    name: str
    limit: int
    window_s: int
    what: str


#: Wrong passwords for one account from one address, from browsers that are not known.
PASSWORD_HERE = Rule("password_here", 10, 15 * 60, "wrong passwords")
#: Wrong passwords for one account from one browser that is known to be the owner's: a stolen cookie is no way to guess.
PASSWORD_KNOWN_BROWSER = Rule("password_known_browser", 10, 15 * 60, "wrong passwords")
#: Wrong passwords for one account from all browsers that are not known.
PASSWORD_ACCOUNT = Rule("password_account", 50, 60 * 60, "wrong passwords")
#: The same from one address for whatever accounts: lists of stolen passwords are tried like this.
PASSWORD_ADDRESS = Rule("password_address", 100, 60 * 60, "wrong passwords")
#: Passwords, right or wrong, for one account from one address: each costs a core some 30 ms.
PASSWORD_COST = Rule("password_cost", 60, 10 * 60, "sign-ins")
#: Accounts that are begun from one address.
SIGN_UP_ADDRESS = Rule("sign_up_address", 20, 60 * 60, "accounts")
#: Mails that one address asks for.
MAIL_ADDRESS = Rule("mail_address", 30, 60 * 60, "mails")
#: Mails that are sent to one recipient, but those that set a password.
MAIL_RECIPIENT = Rule("mail_recipient", 6, 60 * 60, "mails")
#: Mails that set a password.
RESET_RECIPIENT = Rule("reset_recipient", 6, 60 * 60, "mails")

Subject = tuple[Rule, str]


class Limits:
    """Counts tries of subjects under rules."""

    def __init__(self, clock: Clock, max_counters: int = MAX_COUNTERS) -> None:
        self._clock = clock
        self._max_counters = max_counters
        self._logs: OrderedDict[Subject, Log] = OrderedDict()

    def take(self, subjects: Iterable[Subject]) -> Tries:
        """Count one try of every subject, or of none where one has had its fill.

        Raises ``too_many_failures`` with ``Retry-After``: who waits that long is let in.
        """
        taken = [(subject, self._log(subject)) for subject in subjects]
        times = [self._time(subject[0], log) for subject, log in taken]
        for (subject, log), now in zip(taken, times, strict=True):
            verdict = limiter.check(log, now, subject[0].limit, 1)
            if not verdict.allowed:
                raise _too_many(subject[0], verdict.retry_after_us * subject[0].window_s // WINDOW_S)
        for (_, log), now in zip(taken, times, strict=True):
            limiter.record(log, now, 1)
        return Tries([log for _, log in taken])

    def _log(self, subject: Subject) -> Log:
        log = self._logs.get(subject)
        if log is None:
            log = self._logs[subject] = Log()
            if len(self._logs) > self._max_counters:
                self._logs.popitem(last=False)
        self._logs.move_to_end(subject)
        return log

    def _time(self, rule: Rule, log: Log) -> int:
        """The time as the limiter's window of 60 s has to see it, so that this rule's window is its own."""
        now_us = self._clock() * WINDOW_S // rule.window_s
        newest = log.times[-1] if len(log) else now_us
        if newest - now_us > WINDOW_US:
            # The clock was set back by more than a window: begin anew rather than refuse until it has caught up.
            log.times, log.head = Log().times, 0
            return now_us
        return max(now_us, newest)


class Tries:
    """Tries that are under way."""

    def __init__(self, logs: list[Log]) -> None:
        self._logs = logs

    def give_back(self) -> None:
        """They were right: they do not count."""
        for log in self._logs:
            if len(log):
                log.times.pop()


def client_group(client_ip: str | None) -> str:
    """Whom an address stands for: itself, or an IPv6 /64, which one subscriber holds as a whole."""
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return client_ip or "unknown"
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or f"{int(address) >> 64:x}::/64")


def _too_many(rule: Rule, retry_after_us: int) -> DomainError:
    retry_after_s = -(-retry_after_us // US_PER_S) + 1
    minutes = -(-retry_after_s // 60)
    return DomainError(
        Code.TOO_MANY_FAILURES,
        f"Too many {rule.what} in a short time. Try again in {minutes} minute{'' if minutes == 1 else 's'}.",
        log=f"limit {rule.name} is reached",
        headers={"retry-after": str(retry_after_s)},
    )
