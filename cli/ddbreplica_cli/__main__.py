"""`python -m ddbreplica_cli` is the `ddbreplica` command."""

import sys
import traceback

from ddbreplica_cli import signals


def start() -> None:
    """Run the command line of this process. An exception that nothing explains exits with 2: it is no difference."""
    with signals.handled() as handler:
        try:
            from ddbreplica_cli.app import main  # noqa: PLC0415  a signal during its imports is handled too

            main(prog_name="ddbreplica")
        except KeyboardInterrupt:
            sys.stderr.write("Error: interrupted.\nTry: run the same command again.\n")
            sys.exit(handler.exit_status)
        except OSError as error:
            from ddbreplica_cli.output import discard_stdout  # noqa: PLC0415  as above

            discard_stdout()
            sys.stderr.write(
                f"Error: the output cannot be written: {error.strerror}.\nTry: send it elsewhere.\n"
            )
            sys.exit(2)
        except Exception:  # noqa: BLE001  the traceback is printed, and only the exit status is another
            traceback.print_exc()
            sys.exit(2)


if __name__ == "__main__":
    start()
