"""The commands of the command line, also those below a group, such as `jobs show`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import click

from ddbreplica_cli.app import main


def _leaves(
    group: click.Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _leaves(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS: Final[Mapping[tuple[str, ...], click.Command]] = dict(_leaves(main))
"""The commands by their words."""


def command_of(words: Sequence[str]) -> click.Command:
    """Return the command or the group that a command line without `ddbreplica` begins with."""
    known = [words[:length] for length in (2, 1) if tuple(words[:length]) in COMMANDS]
    return COMMANDS[tuple(known[0])] if known else main.commands[words[0]]
