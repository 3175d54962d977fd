"""Why a run ends early. What was promised and is not so is the demo's DidNotHoldError.

E2eError
├── NotOwnedError  something of the run's names is there, and the run has not created it
└── ProgramError   SAM CLI, or the project's own command, ended otherwise than it should

RefusedError is of the command line: nothing was begun.
"""

from ddbreplica.errors import TaskError


class E2eError(Exception):
    """The error message that the run shows to its user."""


class NotOwnedError(E2eError):
    """Something of the run's names is there, and the run has not created it."""


class ProgramError(E2eError):
    """SAM CLI, or the project's own command, ended otherwise than it should."""


class RefusedError(TaskError):
    """Nothing was begun."""

    exit_code = 2
