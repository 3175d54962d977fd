"""Shell completion by click works for the command."""

import os
import subprocess
import sys

import pytest


def complete(words: str, place: int) -> list[str]:
    """Return the completions for word number `place`."""
    environment = {
        **os.environ,
        "_DDBREPLICA_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(place),
    }
    offered = subprocess.run(
        [sys.executable, "-m", "ddbreplica_cli"], env=environment, capture_output=True, text=True, check=True
    )
    return [line.partition(",")[2] for line in offered.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"), [("ddbreplica redr", ["redrive"]), ("ddbreplica redrive --dry", ["--dry-run"])]
)
def test_commands_and_options_are_offered(words: str, offered: list[str]) -> None:
    assert complete(words, words.count(" ")) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_script_for_the_shell(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "ddbreplica_cli"],
        env={**os.environ, "_DDBREPLICA_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"_DDBREPLICA_COMPLETE={shell}_complete" in script.stdout


def test_a_word_that_is_not_valid_text_is_not_completed() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ddbreplica_cli"],
        env={
            **os.environb,
            b"_DDBREPLICA_COMPLETE": b"bash_complete",
            b"COMP_WORDS": b"ddbreplica load \xff",
            b"COMP_CWORD": b"2",
        },
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (2, b"", b"")
