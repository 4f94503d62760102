"""The documentation says what the code does: nothing is left out, nothing is stale, every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.docs.snippets import blocks
from tools.docs import pages
from tools.docs.generators import GENERATORS

from aitbc.cli.app import cli
from aitbc.schemas.scopes import PRESET_SCOPES, Scope
from aitbc_server.errors import Code
from aitbc_server.problem import STATUS, TITLES
from aitbc_server.setting_rows import SETTINGS
from aitbc_server.setting_types import networks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]

_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")


def read(name: str) -> str:
    """A page's text."""
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GENERATORS)
def test_generated_parts_are_what_the_code_says(name: str) -> None:
    """API, CLI, SDK, settings and permissions in the docs equal the code."""
    stale = pages.stale({name: GENERATORS[name]})
    assert not stale, f"docs/{name} is stale\nhint: `.venv/bin/python -m tools.docs` rewrites it"


def test_a_page_keeps_its_prose_when_it_is_generated_anew() -> None:
    """Only what stands between the markers is replaced; a page without them is refused."""
    page = f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n"
    renewed = pages.with_generated(page, "new\n")
    assert renewed == f"before\n{pages.BEGIN}\n\nnew\n\n{pages.END}\nafter\n"
    assert pages.with_generated(renewed, "new") == renewed
    with pytest.raises(ValueError, match="markers"):
        pages.with_generated("no markers", "new")


@pytest.mark.parametrize("code", Code)
def test_every_error_is_explained(code: Code) -> None:
    """Each error code has its row, with the status and the title that the server sends, and says what to do."""
    rows = [line for line in read("docs/reference/errors.md").splitlines() if f"| `{code}` |" in line]
    assert len(rows) == 1, f"{code} has {len(rows)} rows in errors.md"
    status, _, title, meaning, remedy = (cell.strip() for cell in rows[0].strip("|").split("|"))
    assert (status, title) == (str(STATUS[code]), TITLES[code])
    assert meaning
    assert remedy


def test_no_error_is_explained_that_there_is_not() -> None:
    """A code that was taken out of the server is taken out of the docs."""
    explained = re.findall(r"^\| \d{3} \| `(\w+)` \|", read("docs/reference/errors.md"), re.MULTILINE)
    assert sorted(explained) == sorted(Code)


def test_every_setting_is_explained() -> None:
    """Each variable that the server reads has its section."""
    titles = re.findall(r"^### `(AITBC_\w+)`$", read("docs/reference/settings.md"), re.MULTILINE)
    assert titles == [setting.name for setting in SETTINGS]


def test_every_variable_that_is_named_exists() -> None:
    """No page names an AITBC_ variable that nothing reads."""
    known = {setting.name for setting in SETTINGS} | {
        "AITBC_API_KEY",
        "AITBC_BASE_URL",
        "AITBC_TENANT_ID",
        "AITBC_PROFILE",
    }
    # What a miner's program gets, what `make test FULL=1` sets, and where `make bench` keeps what it unpacked.
    known |= {"AITBC_JOB_ID", "AITBC_FULL", "AITBC_BENCH_CACHE"}
    for page in PAGES:
        named = set(re.findall(r"\bAITBC_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name} names {named - known}"


def test_every_command_and_option_is_documented() -> None:
    """Each command has its section, and each of its options a line in it."""
    sections = dict(
        re.findall(r"^#+ `([^`]+)`\n+```text\n(.*?)^```$", read("docs/reference/cli.md"), re.MULTILINE | re.DOTALL)
    )
    for path, command in commands(cli, "aitbc"):
        assert path in sections, f"`{path}` is not in cli.md"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert any(option in sections[path] for option in parameter.opts), f"{path} {parameter.opts}"


def test_every_scope_and_preset_is_in_the_permissions() -> None:
    """The permission matrix names each scope and each preset. (ASVS 8.1.1)"""
    page = read("docs/reference/permissions.md")
    for name in [*Scope, *PRESET_SCOPES]:
        assert f"`{name}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page: Path) -> None:
    """Each `aitbc` command that a page tells people to type is one, with the options that it is given."""
    for line in typed(page.read_text(encoding="utf-8")):
        problem = unknown_part(line)
        assert problem is None, f"{line!r}: {problem}"


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_outside_the_site_lead_somewhere(page: Path) -> None:
    """The pages beside docs/, which mkdocs does not see, link to files that are there."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`make docs`: every link and anchor inside the site is right, every page is in the navigation."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f"{page.relative_to(DOCS).as_posix()}\n" in navigation, f"{page.name} is not in the navigation"


def test_every_decision_is_in_the_list() -> None:
    """A page in docs/adr has its number in order, a status, three parts, and a row in the list."""
    listed = read("docs/adr/index.md")
    decisions = [page for page in sorted((DOCS / "adr").glob("*.md")) if page.name != "index.md"]
    for number, page in enumerate(decisions, 1):
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {number:04d} "), page.name
        assert re.search(r"^Status: \w+, \d{4}-\d\d-\d\d$", text, re.MULTILINE), page.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], page.name
        assert f"]({page.name})" in listed


def test_the_changelog_says_what_is_coming() -> None:
    """The changelog has an Unreleased part, and its headings are those of Keep a Changelog."""
    text = read("CHANGELOG.md")
    assert "## [Unreleased]" in text
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= allowed


def test_the_example_proxies_are_valid() -> None:
    """Values that the settings page shows as examples are ones that the server takes."""
    for setting in SETTINGS:
        if setting.parse is networks:
            assert networks(setting.example)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below ``command``, itself included, by what is typed."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from commands(child, f"{path} {name}")


def typed(page: str) -> Iterator[str]:
    """The `aitbc` commands in a page's blocks and in its text."""
    for language, text, _ in blocks(page):
        if language in {"sh", "console"}:
            for line in text.replace("\\\n", " ").splitlines():
                yield from re.findall(r"(?:^|\$\(|\$ )(aitbc [^|;)]*)", line)
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(aitbc [a-z][^`]*)`", prose)


def unknown_part(line: str) -> str | None:
    """What in a typed line is no command and no option of it; None where all is known."""
    words = shlex.split(line.rstrip("&. "), comments=True)[1:]
    command: click.Command = cli
    options = known_options(cli)
    for word in words:
        if word.startswith("-") and len(word) > 1:
            if word.partition("=")[0] not in options:
                return f"there is no option {word}"
        elif isinstance(command, click.Group):
            child = command.get_command(click.Context(command), word)
            if child is None and not word.isupper() and word != "...":
                # The value of an option that stands before the command.
                if words[words.index(word) - 1].startswith("--"):
                    continue
                return f"there is no command {word}"
            if child is not None:
                command = child
                options |= known_options(child)
    return None


def known_options(command: click.Command) -> set[str]:
    """Every spelling of the command's options."""
    spelled = [[*param.opts, *param.secondary_opts] for param in command.params if isinstance(param, click.Option)]
    return {option for options in spelled for option in options} | {"--help", "-h"}
