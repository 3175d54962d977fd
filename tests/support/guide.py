"""docs/deployment.md by its sections, and the messages that these show."""

import re
from typing import Final

from tests.support.template import ROOT

GUIDE: Final = (ROOT / "docs" / "deployment.md").read_text()


def section(title: str) -> str:
    """Return a section of the page, with the sections within it."""
    (found,) = re.findall(rf"^(#+) {re.escape(title)}$\n(.*)", GUIDE, re.MULTILINE | re.DOTALL)
    level, text = found
    return str(re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0])


def blocks(title: str, language: str) -> list[str]:
    """Return the code blocks of a section that are in a language."""
    return re.findall(rf"^```{language}\n(.+?)^```$", section(title), re.MULTILINE | re.DOTALL)


def messages(title: str) -> list[str]:
    """Return the messages that a section shows, which are blocks without a command."""
    return [block.strip() for block in blocks(title, "console") if not block.startswith("$ ")]


def commands(title: str) -> list[str]:
    """Return the commands of a section, each on one line."""
    lines = "".join(blocks(title, "console")).replace("\\\n", " ").splitlines()
    return [re.sub(r" +", " ", line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
