"""Keys that nobody can decide about → a file that lists them until somebody has looked, a line of JSON each.

Lines are only ever added, by one run after the other; `ddbreplica verify --keys-from` reads them.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ddbreplica.driver import Note
from ddbreplica.files.private_file import make_private, open_to_append, open_to_read, write_all
from ddbreplica.model import Key
from ddbreplica.reconcile.state_file import OPTION, UNDECIDED_SUFFIX, unreadable, unwritable
from ddbreplica.records.decode import attributes_of

_PIECE = 1024 * 1024


class Undecided:
    """The file. It is made when there is something to list."""

    def __init__(self, path: Path, *, note: Note) -> None:
        """List nothing yet."""
        self.path = path
        self._note = note

    @classmethod
    def beside(cls, state: Path, *, note: Note) -> "Undecided":
        """The file of the run that has this state file."""
        return cls(state.with_name(f"{state.name}{UNDECIDED_SUFFIX}"), note=note)

    def add(self, keys: Sequence[Key]) -> None:
        """List keys, durably when it returns; for one thread at a time. Raises TaskError where it cannot."""
        lines = "".join(json.dumps(attributes_of(key)) + "\n" for key in keys)
        try:
            with open_to_append(self.path, option=OPTION) as file:
                make_private(file, self.path, note=self._note)
                before = file.seek(0, os.SEEK_END)
                try:
                    write_all(file, lines.encode())
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):  # no half a line, which the next one would follow
                        file.truncate(before)
                    raise
        except OSError as error:
            state = self.path.with_name(self.path.name.removesuffix(UNDECIDED_SUFFIX))
            raise unwritable(self.path, error, state=state) from error

    def facts(self) -> dict[str, Any]:
        """For a program."""
        return {"undecided": len(self), "undecided_file": str(self.path) if self else None}

    def __len__(self) -> int:
        """How many lines there are, from whatever run."""
        try:
            with open_to_read(self.path, option=OPTION) as lines:
                return sum(piece.count(b"\n") for piece in iter(partial(lines.read, _PIECE), b""))
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise unreadable(self.path, error) from error
