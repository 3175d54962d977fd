"""Read what the state machine sends to the worker. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ddbreplica.errors import TaskError

PLAN: Final = "plan"
WORK: Final = "work"
GATHER: Final = "gather"
CONFIRM: Final = "confirm"
REPORT: Final = "report"
REDRIVE: Final = "redrive"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""Names become a part of the names of objects, so none of them has a `/` or is `..`."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One task of a job. `attempt` is the name of the execution. `members` has the other members of the action."""

    action: str
    function: str
    stack: str
    job: str
    attempt: str
    members: Mapping[str, Any]

    @classmethod
    def read(cls, event: Any) -> "Payload":
        """Return a payload. Raises TaskError that names an unknown action, or the first member that is not valid."""
        if not isinstance(event, dict):
            raise _refused("the event", event)
        action = event.get("action")
        if not isinstance(action, str) or action not in _MEMBERS:
            raise _refused("action", action)
        for name, is_valid in {**dict.fromkeys(_NAMES, _is_name), **_MEMBERS[action]}.items():
            if name not in event or not is_valid(event[name]):
                raise _refused(name, event.get(name))
        return cls(action, members=event, **{name: event[name] for name in _NAMES})

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers in the line of the Map."""
        ((_, numbers),) = self.members["line"].items()
        return tuple(numbers)


def _refused(what: str, value: object) -> TaskError:
    return TaskError(
        f"the payload of the worker is not valid: {what} is {value!r:.100}.",
        hint="start jobs with ddbreplica, or with the schedules of its stack.",
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_line(member: str) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict)
        and value.keys() == {member}
        and isinstance(value[member], list)
        and all(map(_is_count, value[member]))
    )


_NAMES: Final = ("function", "stack", "job", "attempt")
_MEMBERS: Final[Mapping[str, Mapping[str, Callable[[Any], bool]]]] = {
    PLAN: {
        "what": lambda value: isinstance(value, str),
        "options": lambda value: isinstance(value, dict),
        "scheduled": lambda value: isinstance(value, bool),
        "concurrency": lambda value: _is_count(value) and value > 0,
        "max_units": _is_count,
    },
    WORK: {"line": _is_line("segments")},
    GATHER: {},
    CONFIRM: {"line": _is_line("pieces")},
    REPORT: {},
    REDRIVE: {},
}
"""The members that each action has beside the names."""
