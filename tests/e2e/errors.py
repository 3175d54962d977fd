"""The errors that end a run. A check that fails raises the demo's DidNotHoldError.

E2eError
├── NotOwnedError  a resource with one of the run's names exists, and the run did not create it
└── ProgramError   SAM CLI or a ddbreplica command failed

RefusedError is an error before the start: nothing was created.
"""

from ddbreplica.errors import TaskError


class E2eError(Exception):
    """An error whose message the run prints."""


class NotOwnedError(E2eError):
    """A resource with one of the run's names exists, and the run did not create it."""


class ProgramError(E2eError):
    """SAM CLI or a ddbreplica command failed."""


class RefusedError(TaskError):
    """The run did not start, and created nothing."""

    exit_code = 2
