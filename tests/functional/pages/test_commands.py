"""docs/commands.md: its table of files, what it gives to git, and the completion of the shell."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ddbreplica.reconcile.journal_format import COMMANDS
from tests.support.cli import run as cli
from tests.support.modules import ROOT

PAGE: Final = (ROOT / "docs" / "commands.md").read_text()
PROGRAMS: Final = Path(sys.executable).parent


def test_the_table_names_each_state_file() -> None:
    named = re.findall(r"^\| state of .*? \| `SOURCE-REPLICA\.(\w+)` \| keys \|$", PAGE, re.MULTILINE)

    assert sorted(named) == sorted(COMMANDS)


def test_git_ignores_each_state_file_and_what_is_beside_it() -> None:
    ignored = PAGE.partition("```gitignore\n")[2].partition("```")[0].split()

    states = [pattern for command in COMMANDS for pattern in (f"*.{command}", f"*.{command}.*")]
    assert sorted(ignored) == sorted([*states, "*.jsonl"])


def run(home: Path, *command: str) -> str:
    env = {"HOME": str(home), "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs bash 4.4")
def test_the_shell_completes_after_the_command(tmp_path: Path) -> None:
    (command,) = re.findall(r"^\$ (echo .+)$", PAGE, re.MULTILINE)

    run(tmp_path, "/bin/bash", "-c", command)

    assert "ddbreplica" in run(tmp_path, "/bin/bash", "-c", ". ~/.bashrc; complete -p ddbreplica")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_that_is_named_has_its_word(tmp_path: Path, shell: str) -> None:
    assert f"{shell}_source" in PAGE
    script = f"_DDBREPLICA_COMPLETE={shell}_source ddbreplica"
    assert "ddbreplica" in run(tmp_path, "/bin/bash", "-c", script)


def test_the_example_of_a_transform_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = PAGE.partition("\n## Transforms\n")[2].partition("\n## ")[0]
    (rules,) = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    ((command, shown),) = re.findall(
        r"^```console\n\$ ddbreplica (.*?)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL
    )
    (tmp_path / "masked.json").write_text(rules)
    (tmp_path / "events").symlink_to(ROOT / "events")
    monkeypatch.chdir(tmp_path)

    assert cli(*command.split()).stdout == shown
