"""Read the options of a job. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ddbreplica.errors import TaskError


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a job: its default, and whether a value is valid."""

    default: Any
    is_valid: Callable[[Any], bool]


def complete(
    what: str, options: Mapping[str, Any], known: Mapping[str, Option], *, command: str
) -> Mapping[str, Any]:
    """Return the options with their defaults. Raises TaskError that names one that is unknown or not valid.

    `what` is the kind of job in messages; `command` has the same options.
    """
    for name, value in options.items():
        if name not in known:
            raise TaskError(
                f"a {what} that runs as a job has no option {name!r:.100}.",
                hint=f"use these: {', '.join(known)}.",
            )
        if not known[name].is_valid(value):
            raise TaskError(
                f"the option {name} of the {what} is {value!r:.100}.",
                hint=f"`ddbreplica {command} --help` shows which values are valid.",
            )
    return {**{name: option.default for name, option in known.items()}, **options}


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_rate(value: Any) -> bool:
    return value is None or (is_number(value) and value > 0)


FLAG: Final = Option(default=False, is_valid=_is_flag)
RATE: Final = Option(default=None, is_valid=_is_rate)
"""Capacity units per second; None for a share of what the table provides."""
