"""Replicate one DynamoDB table into another by the source table's stream.

Import from this package in your own functions, and not from its modules, which may move. Each name is loaded when it
is first used, so that `import ddbreplica` alone loads nothing.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ddbreplica.aws.refusal import RefusedError, refusal_of
    from ddbreplica.deadline import Deadline, deadline_of
    from ddbreplica.dynamodb.table import CLIENT_CONFIG
    from ddbreplica.errors import EventError, ReplicatorError, StreamViewTypeError, UnreportableError
    from ddbreplica.model import (
        Change,
        Failure,
        Image,
        Key,
        Pending,
        Quarantined,
        Refusal,
        RefusalKind,
        Replica,
        Table,
        Write,
    )
    from ddbreplica.records.batch_item_failures import report
    from ddbreplica.records.decode import Decoded, decode
    from ddbreplica.records.plan import plan
    from ddbreplica.replicate.process import process
    from ddbreplica.replicate.write import Outcome, write

__all__ = [
    "CLIENT_CONFIG",
    "Change",
    "Deadline",
    "Decoded",
    "EventError",
    "Failure",
    "Image",
    "Key",
    "Outcome",
    "Pending",
    "Quarantined",
    "Refusal",
    "RefusalKind",
    "RefusedError",
    "Replica",
    "ReplicatorError",
    "StreamViewTypeError",
    "Table",
    "UnreportableError",
    "Write",
    "deadline_of",
    "decode",
    "plan",
    "process",
    "refusal_of",
    "report",
    "write",
]

_MODULES: Final = {
    "aws.refusal": ("RefusedError", "refusal_of"),
    "deadline": ("Deadline", "deadline_of"),
    "dynamodb.table": ("CLIENT_CONFIG",),
    "errors": ("EventError", "ReplicatorError", "StreamViewTypeError", "UnreportableError"),
    "model": (
        *("Change", "Failure", "Image", "Key", "RefusalKind", "Pending", "Quarantined", "Refusal", "Replica"),
        *("Table", "Write"),
    ),
    "records.decode": ("Decoded", "decode"),
    "records.plan": ("plan",),
    "replicate.process": ("process",),
    "records.batch_item_failures": ("report",),
    "replicate.write": ("Outcome", "write"),
}


if not TYPE_CHECKING:  # with this function a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Load a public name when it is first used."""
        for module, names in _MODULES.items():
            if name in names:
                from importlib import import_module  # noqa: PLC0415  `import ddbreplica` does not pay for it

                return globals().setdefault(name, getattr(import_module(f"{__name__}.{module}"), name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, whether they are loaded or not."""
    return sorted({*globals(), *__all__})
