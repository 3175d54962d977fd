"""Keys that nobody can decide about → a file that lists them until somebody has looked, a line of JSON each.

Lines are only ever added, by one run after the other; `ddbreplica verify --keys-from` reads them.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from ddbreplica.decode import attributes_of
from ddbreplica.model import Key
from ddbreplica_cli.errors import CommandError


def _write(file: FileIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


class Undecided:
    """The file. It is made when there is something to list."""

    def __init__(self, path: Path) -> None:
        """List nothing yet."""
        self.path = path

    def add(self, keys: Sequence[Key]) -> None:
        """List keys, durably when it returns; for one thread at a time. Raises CommandError where it cannot."""
        lines = "".join(json.dumps(attributes_of(key)) + "\n" for key in keys)
        before = None
        try:
            with self.path.open("ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                _write(file, lines.encode())
                os.fsync(file.fileno())
        except OSError as error:
            if before is not None:  # no half a line, which the next one would follow
                with suppress(OSError):
                    os.truncate(self.path, before)
            raise CommandError(
                f"{self.path} cannot be written: {error.strerror}.",
                hint="make room, or name a --state elsewhere.",
            ) from error

    def facts(self) -> dict[str, Any]:
        """For a program."""
        return {"undecided": len(self), "undecided_file": str(self.path) if self else None}

    def __len__(self) -> int:
        """How many lines there are, from whatever run."""
        if not self.path.exists():
            return 0
        with self.path.open(encoding="utf-8") as lines:
            return sum(1 for _ in lines)
