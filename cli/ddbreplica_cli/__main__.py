"""`python -m ddbreplica_cli` is the `ddbreplica` command."""

import os
import sys
import traceback
from contextlib import suppress

from ddbreplica_cli.terminal import signals

_COMPLETES = "_DDBREPLICA_COMPLETE"
"""What click's scripts for shells set."""


def start() -> None:
    """Run the command line of this process. An exception that nothing explains exits with 2: it is no difference."""
    _reserve_standard_files()
    with signals.handled() as handler:
        try:
            from ddbreplica_cli.app import main  # noqa: PLC0415  a signal during its imports is handled too

            main(prog_name="ddbreplica")
        except KeyboardInterrupt:
            _print("Error: interrupted.", "Try: run the same command again.")
            sys.exit(handler.exit_status)
        except OSError as error:
            from ddbreplica_cli.terminal.output import discard_stdout  # noqa: PLC0415  as above

            discard_stdout()
            _print(f"Error: the output cannot be written: {error.strerror}.", "Try: send it elsewhere.")
            sys.exit(2)
        except Exception:  # noqa: BLE001  the traceback is printed, and only the exit status is another
            if _COMPLETES not in os.environ:  # a shell that completes a line has no place for it
                _print(*traceback.format_exc().splitlines())
            sys.exit(2)


def _reserve_standard_files() -> None:
    """Open those of the files 0, 1 and 2 that are closed, so that no other file gets what is written to these."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:  # it was closed, and has nothing to read
        sys.stdin = os.fdopen(0, encoding="utf-8")
    if sys.stderr is None:  # click would print its errors to stdout
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")


def _print(*texts: str) -> None:
    from ddbreplica_cli.terminal.output import print_note  # noqa: PLC0415  a signal during its imports is handled too

    print_note(*texts)


if __name__ == "__main__":
    start()
