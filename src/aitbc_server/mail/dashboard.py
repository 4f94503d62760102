"""``/dev/mail``: the mails that a development server would have sent. A server for real has no such page."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

from aitbc_server.dashboard.pages import Pages, for_page
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.mail.reading import MailReader

DEV_MAIL = Operation("mail.dev_mail", audience=Audience.EVERYONE)


@get("/dev/mail", **for_page(DEV_MAIL))
async def dev_mail(
    request: Request[Any, Any, Any], mail_reader: NamedDependency[MailReader], pages: NamedDependency[Pages]
) -> Response[str]:
    """Every mail, the newest first. Whoever runs a development server on this machine may read them all."""
    return pages.render(request, "mail/dev_mail.html", mails=await mail_reader.newest())


ROUTES = [dev_mail]
