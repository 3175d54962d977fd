"""The names of jobs and of their attempts. Pure.

An attempt is an execution of the state machine. A name of an execution can be used once in 90 days, so each attempt of
a job has its own. A job that a schedule has started has the name of its first execution.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_ATTEMPT: Final = re.compile(r"(.+)_(\d{1,6})")
_JOB: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,72}")
"""The name of an execution has at most 80 characters."""


def new_job(what: str, *, now: datetime, token: str) -> str:
    """Return the name of a new job. The names of one kind of jobs sort by time; the token makes a name unique."""
    return f"{what}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}"


def attempt(job: str, number: int) -> str:
    """Return the name of an attempt, counted from 1."""
    return f"{job}_{number}"


def job_of(execution: str) -> str:
    """Return the job of an execution."""
    found = _ATTEMPT.fullmatch(execution)
    return found[1] if found else execution


def is_job(name: str) -> bool:
    """Return whether a job can have this name."""
    return _JOB.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt of a job. `since` is when an earlier attempt has planned the job; None for a new job.

    If it `was_running`, nothing was started, and `since` is when it was.
    """

    job: str
    attempt: str
    since: datetime | None = None
    was_running: bool = False

    @property
    def document(self) -> Mapping[str, Any]:
        """The attempt as JSON values."""
        return {"job": self.job, "attempt": self.attempt, "resumed": self.since is not None}
