"""Why a demo ends early.

DemoError
├── EmbeddedAwsError    the embedded AWS does not come up
├── DeployError         the function cannot be bundled, or the stack cannot be created
└── DidNotHoldError     everything ran, and something that was promised is not so
"""


class DemoError(Exception):
    """What the demo's user is told, in one message."""


class EmbeddedAwsError(DemoError):
    """The embedded AWS does not come up."""


class DeployError(DemoError):
    """The function cannot be bundled, or the stack cannot be created."""


class DidNotHoldError(DemoError):
    """Everything ran, and something that was promised is not so."""
