"""Read the options of a verification that runs as a job. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ddbreplica.errors import TaskError
from ddbreplica.verify.options import VerifyOptions

MAX_LIMIT: Final = 100
"""The most differences that a job shows. The report has all of them in memory, with their values."""

_DEFAULTS: Final[Mapping[str, Any]] = {
    "eventually_consistent": False,
    "grace": None,
    "rounds": 3,
    "read_rate": None,
    "limit": 10,
    "no_values": False,
    "without_mapping": False,
    "archive": False,
}
"""The options that a job has, as the command line has them."""


def complete(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options with their defaults. Raises TaskError that names one that is unknown or not valid."""
    for name, value in options.items():
        if name not in _DEFAULTS:
            raise TaskError(
                f"a verification that runs as a job has no option {name!r:.100}.",
                hint=f"use these: {', '.join(_DEFAULTS)}.",
            )
        if not _IS_VALID[name](value):
            raise TaskError(
                f"the option {name} of the verification is {value!r:.100}.",
                hint="give it a value that `ddbreplica verify` accepts.",
            )
    return {**_DEFAULTS, **options}


def verify_options(options: Mapping[str, Any], *, segments: int) -> VerifyOptions:
    """Return complete options of a job in the form that the engine takes."""
    return VerifyOptions(
        **options,
        segments=segments,
        sample=1,
        keys_from=None,
        report=None,
        repair=False,
        dry_run=False,
        rate=None,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_IS_VALID: Final[Mapping[str, Callable[[Any], bool]]] = {
    "eventually_consistent": _is_flag,
    "grace": lambda value: value is None or (_is_number(value) and value >= 0),
    "rounds": lambda value: type(value) is int and value >= 1,
    "read_rate": lambda value: value is None or (_is_number(value) and value > 0),
    "limit": lambda value: type(value) is int and 0 <= value <= MAX_LIMIT,
    "no_values": _is_flag,
    "without_mapping": _is_flag,
    "archive": _is_flag,
}
