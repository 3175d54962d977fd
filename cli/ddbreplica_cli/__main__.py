"""Run the `ddbreplica` command with `python -m ddbreplica_cli`."""

import os
import sys
import traceback
from contextlib import suppress

from ddbreplica_cli.terminal import signals

_COMPLETES = "_DDBREPLICA_COMPLETE"
"""The environment variable that click's completion scripts set."""


def start() -> None:
    """Run the command line of this process. An unexpected exception exits with 2, since 1 would mean a difference."""
    _reserve_standard_files()
    with signals.handled() as handler:
        try:
            from ddbreplica_cli.app import main  # noqa: PLC0415  handle signals during its imports too

            main(prog_name="ddbreplica")
        except KeyboardInterrupt:
            _print("Error: interrupted.", "Try: run the same command again.")
            sys.exit(handler.exit_status)
        except OSError as error:
            from ddbreplica_cli.terminal.output import discard_stdout  # noqa: PLC0415  as above

            discard_stdout()
            _print(
                f"Error: the output cannot be written: {error.strerror}.", "Try: redirect it to another file."
            )
            sys.exit(2)
        except Exception:  # noqa: BLE001  print the traceback, but exit with another status
            if _COMPLETES not in os.environ:  # a completion must not print a traceback
                _print(*traceback.format_exc().splitlines())
            sys.exit(2)


def _reserve_standard_files() -> None:
    """Open the file descriptors 0, 1 and 2 if they are closed, so that no other file gets one of these numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # opens the lowest free number
    if sys.stdin is None:  # it was closed
        sys.stdin = os.fdopen(0, encoding="utf-8")
    if sys.stderr is None:  # click would print its errors to stdout
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")


def _print(*texts: str) -> None:
    from ddbreplica_cli.terminal.output import print_note  # noqa: PLC0415  handle signals during its imports too

    print_note(*texts)


if __name__ == "__main__":
    start()
