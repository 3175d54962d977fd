"""The one place that turns the errors of a command into messages and exit statuses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.botocore_private import MissingPartError
from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import refusal_of
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica_cli.terminal import output, signals
from ddbreplica_cli.terminal.exit_status import exit_status


@contextmanager
def explained(*, as_json: bool) -> Iterator[None]:
    """Print each error that a command raises within the block, and exit with its exit status."""
    with signals.handled() as handler:
        try:
            yield
        except (
            *(TaskError, MissingPartError, BotoCoreError, ClientError),
            *(OSError, KeyboardInterrupt),
        ) as raised:
            # A signal during these lines must not replace the message, and the exit status, of the error.
            with handler.noted(_is_over):
                _end(raised, handler, as_json=as_json)


def _is_over(_: int) -> None:
    """Ignore the signal: the command has already ended."""


def _end(raised: BaseException, handler: signals.Signals, *, as_json: bool) -> NoReturn:
    if isinstance(raised, OSError):
        # Or Python would write the rest when it exits, fail again, and replace the exit status.
        output.discard_stdout()
    # A closed terminal sends SIGHUP and refuses output. The signal is the cause, so its exit status counts.
    is_by_signal = isinstance(raised, StoppedError | KeyboardInterrupt | OSError)
    if handler.first is not None and is_by_signal:
        ended = raised if isinstance(raised, StoppedError) else _interrupted()
        output.print_error(ended, as_json=as_json)
        output.discard_stdout()
        sys.exit(handler.exit_status)
    error = _as_command_error(raised)
    # A reader that has closed the pipe, such as `head`, is no error to report.
    if not isinstance(raised, BrokenPipeError):
        output.print_error(error, as_json=as_json)
    sys.exit(exit_status(error))


def _interrupted() -> StoppedError:
    return StoppedError("interrupted.", hint="run the same command again.")


def _as_command_error(raised: BaseException) -> TaskError:
    if isinstance(raised, TaskError):
        return raised
    if isinstance(raised, BotoCoreError | ClientError):
        return explain(refusal_of(raised))
    if isinstance(raised, MissingPartError):
        return TaskError(_lower_first(raised.fact), hint=_lower_first(raised.hint))
    if isinstance(raised, OSError):
        return _of_system(raised)
    return _interrupted()


def _lower_first(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _of_system(error: OSError) -> TaskError:
    what = f"{error.filename}: " if error.filename else ""
    return TaskError(
        f"{what}{error.strerror or error}.", hint="free disk space, or check the file and its permissions."
    )
