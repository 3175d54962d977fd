"""List the keys that need review in a file, in JSON, one a line, until an operator removes it.

A run only appends lines. `ddbreplica verify --keys-from` reads the file.
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
    """The file of undecided keys. It is created with the first key."""

    def __init__(self, path: Path, *, note: Note) -> None:
        """Use this path; create nothing yet."""
        self.path = path
        self._note = note

    @classmethod
    def beside(cls, state: Path, *, note: Note) -> "Undecided":
        """Return the file for the run with this state file."""
        return cls(state.with_name(f"{state.name}{UNDECIDED_SUFFIX}"), note=note)

    def add(self, keys: Sequence[Key]) -> None:
        """Append keys, durably; for one thread at a time. Raises TaskError if the file cannot be written."""
        lines = "".join(json.dumps(attributes_of(key)) + "\n" for key in keys)
        try:
            with open_to_append(self.path, option=OPTION) as file:
                make_private(file, self.path, note=self._note)
                before = file.seek(0, os.SEEK_END)
                try:
                    write_all(file, lines.encode())
                    # Before the keys are closed in the journal: from then on, only this file has them.
                    os.fsync(file.fileno())
                except OSError:
                    # Leave no incomplete line, to which the next one would be appended.
                    with suppress(OSError):
                        file.truncate(before)
                    raise
        except OSError as error:
            state = self.path.with_name(self.path.name.removesuffix(UNDECIDED_SUFFIX))
            raise unwritable(self.path, error, state=state) from error

    def facts(self) -> dict[str, Any]:
        """Return the number of keys and the path, as JSON values."""
        return {"undecided": len(self), "undecided_file": str(self.path) if self else None}

    def __len__(self) -> int:
        """Return the number of lines, of all runs."""
        try:
            with open_to_read(self.path, option=OPTION) as lines:
                return sum(piece.count(b"\n") for piece in iter(partial(lines.read, _PIECE), b""))
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise unreadable(self.path, error) from error
