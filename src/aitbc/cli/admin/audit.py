"""``aitbc admin verify-audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aitbc.cli.admin.operate import operate
from aitbc.cli.errors import EXIT_ERROR, CommandError
from aitbc.cli.lazy import Command
from aitbc.cli.output import counted, note, print_json
from aitbc.cli.reporting import say_error
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc_server.audit.verify import Finding, Report
    from aitbc_server.serving.installation import Installation


@click.command("verify-audit", cls=Command)
@click.option(
    "--head",
    "head_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file of --write-head: with it, rows that were cut off at the end show too.",
)
@click.option(
    "--write-head",
    "new_head_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="If all is well, write the heads of the chains here. Keep the file out of reach of the database's users.",
)
@pass_settings
def verify_audit(settings: Settings, /, head_file: Path | None, new_head_file: Path | None) -> None:
    """Check that the audit log was not tampered with.

    No row may have been edited, removed or moved. It names the first such row of each tenant, and exits with 1.
    """
    from aitbc_server.audit import verify

    try:
        heads = None if head_file is None else verify.read_heads(head_file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CommandError(f"{head_file}: this is no file of audit heads: it is not UTF-8") from error
    except ValueError as error:
        raise CommandError(f"{head_file}: {error}") from error

    async def work(installation: Installation) -> Report:
        async with installation.database.read() as session:
            return await verify.verify(session, installation.secret_keys, heads=heads)

    def show(report: Report) -> None:
        if report.ok and new_head_file is not None:
            _write(new_head_file, verify.write_heads(report.heads))
        _show(settings, report)

    operate(settings, work, show)


def _show(settings: Settings, report: Report) -> None:
    if settings.json:
        print_json(report)
    elif report.ok:
        note(f"All is as it was written: {counted(report.events, 'event')} of {counted(report.tenants, 'tenant')}.")
    else:
        for finding in report.findings:
            say_error(settings, _line(finding))
    if not report.ok:
        raise click.exceptions.Exit(EXIT_ERROR)


def _line(finding: Finding) -> str:
    event = f" ({finding.event_id})" if finding.event_id else ""
    return f"tenant {finding.tenant_id}, event {finding.sequence}{event}: {finding.detail}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
