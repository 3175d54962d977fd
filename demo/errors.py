"""The errors that end the demo.

DemoError
├── EmbeddedAwsError    the embedded AWS did not start
├── DeployError         the deployment package cannot be built, or the stack cannot be deployed
└── DidNotHoldError     a check of the demo failed
"""


class DemoError(Exception):
    """An error whose message the demo prints."""


class EmbeddedAwsError(DemoError):
    """The embedded AWS did not start."""


class DeployError(DemoError):
    """The deployment package cannot be built, or the stack cannot be deployed."""


class DidNotHoldError(DemoError):
    """A check of the demo failed."""
