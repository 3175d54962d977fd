"""Every Markdown page wraps at 100 columns, and every link of a page leads somewhere."""

import re
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.modules import ROOT

WIDTH = 100


def tracked() -> list[Path]:
    """Return the pages that the repository contains, but those that an earlier release left as they are."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "*.md"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout", allow_module_level=True)
    paths = [Path(ROOT, name) for name in listed.stdout.splitlines() if "/recorded/" not in name]
    return [path for path in paths if path.exists()]


PAGES = tracked()


def name(page: Path) -> str:
    """Return the page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each line with its number, and whether it is the output of a command.

    In a `console` block a command begins with `$` and continues after a backslash; the rest is output.
    """
    block, continued = "", False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            block = "" if block else line.strip().removeprefix("```") or "text"
            continue
        is_command = line.lstrip().startswith("$ ") or continued
        continued = is_command and line.endswith("\\")
        yield number, line, block == "console" and not is_command


def is_unbreakable(line: str) -> bool:
    """Return whether the line is one word that contains a link: Markdown cannot wrap it."""
    return len(line.split()) == 1 and ("](" in line or "://" in line)


def too_long(text: str) -> list[int]:
    """Return the numbers of the lines that have to be wrapped.

    Exempt are links, which cannot be broken, and the output of a command, which is shown as it was
    printed. Commands, code, diagrams and tables are held at the width like prose.
    """
    return [
        number
        for number, line, is_output in lines(text)
        if len(line) > WIDTH and not is_output and not is_unbreakable(line)
    ]


def prose(text: str) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w -]", "", shown.lower()).replace(" ", "-")
        found.add(next(name for n in count() if (name := f"{anchor}-{n}" if n else anchor) not in found))
    return found


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures outside code; a reference without a target is its own."""
    outside_code = re.sub(r"`[^`\n]*`", "`", prose(text))
    targets = dict(re.findall(r"^\[([^\]]+)\]: +(\S+)", outside_code, re.MULTILINE))
    referred = (targets.get(label, label) for label in re.findall(r"\]\[([^\]]+)\]", outside_code))
    return [*re.findall(r"\]\(([^)\s]+)\)", outside_code), *referred]


def broken(page: Path) -> list[str]:
    """Return the relative links of the page that lead nowhere."""
    return [link for link in links(page.read_text()) if "://" not in link and not leads(page, link)]


def leads(page: Path, link: str) -> bool:
    """Return whether the file of a relative link exists, and has the heading that the link names."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_wraps(page: Path) -> None:
    assert too_long(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_the_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}

    docs = {page for page in PAGES if page.is_relative_to(index.parent)}
    assert [name(page) for page in docs - linked - {index}] == []


def test_what_may_be_long() -> None:
    long = "word " * 30
    url = f"https://example.com/{'x' * 100}"
    page = [long, f"| {long} |", f"[x]({url}),", f"see {url}", "```console", f"$ {long}\\", long, long, "```"]

    assert too_long("\n".join(page)) == [1, 2, 4, 6, 7]
    assert too_long(f"```\n{long}\n```") == [2]


def test_the_anchors_of_headings() -> None:
    text = "# A `b --c`: d_e\n## [Link](x.md) (1)\n```\n# no heading\n```\n# Twice\n# Twice\n"

    assert anchors(text) == {"a-b---c-d_e", "link-1", "twice", "twice-1"}


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](#one) [b\nb](#two) [c](none.md) [d](https://x.example/) `[e](none.md)`\n")

    assert broken(page) == ["#two", "none.md"]


def test_a_reference_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a][one] [b][two] [`c`][three] [d][four]\n\n[one]: #one\n[two]: #two\n[three]: none.md\n"
    )

    assert broken(page) == ["#two", "none.md", "four"]
