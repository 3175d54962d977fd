"""Read the options of a verification that runs as a job. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from ddbreplica.jobs import options as of_jobs
from ddbreplica.jobs.options import FLAG, RATE, Option, is_number
from ddbreplica.jobs.plan import VERIFY
from ddbreplica.verify.options import VerifyOptions

MAX_LIMIT: Final = 100
"""The most differences that a job shows. The report has all of them in memory, with their values."""

OPTIONS: Final[Mapping[str, Option]] = {
    "eventually_consistent": FLAG,
    "grace": Option(None, lambda value: value is None or (is_number(value) and value >= 0)),
    "rounds": Option(3, lambda value: type(value) is int and value >= 1),
    "read_rate": RATE,
    "limit": Option(10, lambda value: type(value) is int and 0 <= value <= MAX_LIMIT),
    "no_values": FLAG,
    "without_mapping": FLAG,
    "archive": FLAG,
    "repair": FLAG,
    "rate": RATE,
}
"""The options that a job has, as the command line has them."""


def complete(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options with their defaults. Raises TaskError that names one that is unknown or not valid."""
    return of_jobs.complete("verification", options, OPTIONS, command=VERIFY)


def verify_options(options: Mapping[str, Any], *, segments: int) -> VerifyOptions:
    """Return complete options of a job in the form that the engine takes."""
    return VerifyOptions(
        **options,
        segments=segments,
        sample=1,
        keys_from=None,
        report=None,
        dry_run=False,
    )
