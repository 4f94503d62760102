"""``aitbc scan``: find API keys in files, offline. Needs no server, and nothing but the standard library below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from aitbc.cli.errors import EXIT_ERROR, EXIT_USAGE
from aitbc.cli.lazy import Command
from aitbc.cli.output import as_json, clean_line, counted, note
from aitbc.cli.reporting import say_error, say_hint
from aitbc.cli.scan_files import Source, files_below, staged_files, standard_input
from aitbc.cli.scan_stream import Finding, find_keys
from aitbc.cli.settings import Settings, pass_settings


@click.command(cls=Command)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--staged", is_flag=True, help="Scan what is staged for the next git commit.")
@pass_settings
def scan(settings: Settings, paths: tuple[str, ...], staged: bool) -> None:
    """Find API keys in files, offline.

    PATH is a file, a folder or -, which is standard input; default: this folder. A key is found by its form and
    its checksum; only its id is printed. In a git repository the files that git ignores are left out, unless
    they are named.

    Exits with 1 if a key is found, and with 2 if a file cannot be read.

    \b
    As a pre-commit hook, in .git/hooks/pre-commit:
      #!/bin/sh
      exec aitbc scan --staged
    """
    if staged and paths:
        raise click.UsageError("--staged takes no paths: it looks at what is staged")
    tally = _Tally(settings)
    for source in staged_files() if staged else _sources(paths or (".",)):
        tally.look_into(source)
    tally.finish()


def _sources(paths: Iterable[str]) -> Iterator[Source]:
    for path in paths:
        if path == "-":
            yield standard_input()
        elif not Path(path).exists():
            raise click.UsageError(f"there is no file or folder {path!r}")
        else:
            yield from files_below(Path(path))


class _Tally:
    """Prints what is found as it is found, and says in the end what it means."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._findings: list[tuple[str, Finding]] = []
        self._files = 0
        self._unreadable = 0

    def look_into(self, source: Source) -> None:
        """Scan one file; one that cannot be read is reported and counted."""
        try:
            with source.open() as stream:
                for finding in find_keys(stream):
                    self._found(source.name, finding)
            self._files += 1
        except OSError as error:
            self._unreadable += 1
            say_error(self._settings, f"cannot read {clean_line(source.name)}: {error.strerror or error}")

    def _found(self, name: str, finding: Finding) -> None:
        self._findings.append((name, finding))
        if not self._settings.json:
            click.echo(f"{clean_line(name)}:{finding.line}:{finding.column} {finding.masked}")

    def finish(self) -> None:
        """Print the summary and leave with the exit code."""
        if self._settings.json:
            click.echo(as_json([{"path": name, **found._asdict()} for name, found in self._findings]))
        files = counted(self._files, "file")
        if not self._findings:
            note(f"no keys found in {files}")
        else:
            ids = list(dict.fromkeys(found.key_id for _, found in self._findings))
            note(f"{counted(len(ids), 'key')} found in {files}")
            say_hint(
                self._settings,
                f"whoever saw such a file has the key: `aitbc api-keys revoke {ids[0]}`, or "
                f"`aitbc api-keys regenerate {ids[0]}`; keep keys in the environment, not in files",
            )
        if self._findings or self._unreadable:
            raise click.exceptions.Exit(EXIT_ERROR if self._findings else EXIT_USAGE)
