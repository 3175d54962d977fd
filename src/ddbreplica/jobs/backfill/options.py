"""Read the options of a backfill that runs as a job. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from ddbreplica.jobs import options as of_jobs
from ddbreplica.jobs.options import FLAG, RATE, Option
from ddbreplica.jobs.plan import BACKFILL

OPTIONS: Final[Mapping[str, Option]] = {
    "rate": RATE,
    "read_rate": RATE,
    "without_mapping": FLAG,
    "archive": FLAG,
}
"""The options that a job has, as the command line has them."""


def complete(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options with their defaults. Raises TaskError that names one that is unknown or not valid."""
    return of_jobs.complete("backfill", options, OPTIONS, command=BACKFILL)
