"""What a mail says, and the two forms that it is sent in: plain text, and HTML of the same words."""

from __future__ import annotations

import html
import re
import textwrap
from datetime import datetime
from typing import NamedTuple

import msgspec

_WIDTH = 72
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{subject}</title></head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif;color:#1b1b1f;background:#ffffff">
<div style="max-width:36em;margin:0 auto">
{body}
</div></body></html>
"""
_BUTTON = (
    '<p><a href="{url}" style="display:inline-block;padding:10px 18px;border-radius:6px;background:#2f4bd8;'
    'color:#ffffff;text-decoration:none">{label}</a></p>\n<p style="font-size:14px">Or open this address:<br>'
    '<a href="{url}" style="word-break:break-all">{url}</a></p>'
)


class Link(NamedTuple):
    """Where the reader goes from here."""

    label: str
    url: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A mail's words. ``details`` are lines of label and value; ``after`` comes behind the link.

    Whatever a person chose (a key's name, a host) may stand in it: it is cut to one line, and escaped in HTML.
    """

    subject: str
    paragraphs: tuple[str, ...]
    details: tuple[tuple[str, str], ...] = ()
    link: Link | None = None
    after: tuple[str, ...] = ()

    @property
    def subject_line(self) -> str:
        """The subject on one line, however it came about: a line break would begin another header."""
        return one_line(self.subject)

    def text(self) -> str:
        """The plain text form, in lines that every mail program shows. Addresses are never broken."""
        blocks = [_wrapped(one_line(each)) for each in self.paragraphs]
        if self.details:
            blocks.append("\n".join(f"  {label}: {one_line(value)}" for label, value in self.details))
        if self.link is not None:
            blocks.append(f"{self.link.label}:\n{self.link.url}")
        blocks += [_wrapped(one_line(each)) for each in self.after]
        return "\n\n".join(blocks) + "\n"

    def html(self) -> str:
        """The HTML form: no picture, no script, nothing that is loaded from anywhere."""
        blocks = [_paragraph(each) for each in self.paragraphs]
        if self.details:
            rows = "<br>\n".join(f"{_escaped(label)}: <b>{_escaped(value)}</b>" for label, value in self.details)
            blocks.append(f"<p>{rows}</p>")
        if self.link is not None:
            blocks.append(_BUTTON.format(url=_escaped(self.link.url), label=_escaped(self.link.label)))
        blocks += [_paragraph(each) for each in self.after]
        return _PAGE.format(subject=_escaped(self.subject), body="\n".join(blocks))


def time_in_words(at: datetime) -> str:
    """``24 November 2026, 05:46 UTC``: a mail is read anywhere, and cannot know where."""
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def one_line(text: str) -> str:
    """``text`` without line breaks, other control characters, and those that turn the direction of text."""
    return _NOT_IN_A_LINE.sub(" ", text).strip()


def _wrapped(paragraph: str) -> str:
    return "\n".join(textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _paragraph(text: str) -> str:
    return f"<p>{_escaped(text)}</p>"


def _escaped(text: str) -> str:
    return html.escape(one_line(text))
