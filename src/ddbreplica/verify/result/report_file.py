"""The file of `verify --report`, with a line for each difference. A write error ends the report, not the command."""

from io import BufferedWriter, TextIOWrapper
from pathlib import Path

from ddbreplica.driver import Note
from ddbreplica.errors import TaskError
from ddbreplica.files.private_file import open_to_write


class ReportFile:
    """The open report. `failure` is the reason why the report is not complete, or None."""

    def __init__(self, path: Path, *, note: Note, keep: bool = False) -> None:
        """Create an empty file, or `keep` the lines of an earlier run. Raises TaskError if that is not possible."""
        self.path = path
        self.failure: str | None = None
        self._note = note
        try:
            file = open_to_write(path, option="--report", note=note, keep=keep)
        except OSError as error:
            raise TaskError(
                f"{path} cannot be written: {error.strerror}.", hint="name another file with --report."
            ) from error
        # Each line is written at once, so that the report has what was confirmed, however the run ends.
        self._file = TextIOWrapper(BufferedWriter(file), encoding="utf-8", line_buffering=True)

    def write(self, line: str) -> None:
        """Write a line, unless an earlier write has failed."""
        if self.failure is None:
            try:
                self._file.write(line + "\n")
            except OSError as error:
                self._end(error)

    def close(self) -> None:
        """Close the file. Raises nothing, so that it does not hide an exception in progress."""
        try:
            self._file.close()
        except OSError as error:
            if self.failure is None:
                self._end(error)

    def _end(self, error: OSError) -> None:
        self.failure = error.strerror or str(error)
        self._note(
            f"{self.path} cannot be written: {self.failure}. The report is not complete; the verification continues."
        )
