"""Let one job of a stack run at a time. Redrives have a lease of their own, so that neither blocks the other.

Two jobs at once are no danger to the data. They would use twice the read capacity that the tables' owner expects.
"""

import json
from dataclasses import dataclass
from typing import Final

from ddbreplica.bucket.store import ATTEMPTS, Store, Stored, unwritten
from ddbreplica.jobs.objects import document_bytes

SECONDS: Final = 1_800.0
"""How long a job has the lease after a worker has renewed it. A job that was ended by force renews it no more."""

RENEWED_BELOW_SECONDS: Final = 1_200.0
"""A worker renews a lease that ends earlier: it may run for 15 minutes, and be tried again after a pause."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a stack's jobs, as one job sees it. All times are AWS's, in seconds since the epoch."""

    store: Store
    stack: str
    job: str
    kind: str = ""
    """The beginning of the object's name. Leases of two kinds do not exclude each other."""
    seconds: float = SECONDS

    @property
    def name(self) -> str:
        """The name of the object."""
        return f"jobs/{self.stack}/{self.kind}lease.json"

    def take(self, *, now: float) -> str | None:
        """Take the lease, or keep it, and return None. If another job has it, return that job."""
        for _ in range(ATTEMPTS):
            stored = self.store.read(self.name)
            holder, until = _holder(stored)
            if holder not in (None, self.job) and until > now:
                return holder
            if self._write(stored, until=now + self.seconds):
                return None
        raise unwritten(f"the lease of the stack's jobs, {self.name},")

    def renew(self, *, now: float) -> None:
        """Renew the lease if it is still this job's and ends soon. One that was released stays so."""
        stored = self.store.read(self.name)
        holder, until = _holder(stored)
        if holder == self.job and 0 < until < now + RENEWED_BELOW_SECONDS:
            # Many workers renew it at once, and one of them is enough.
            self._write(stored, until=now + self.seconds)

    def release(self) -> None:
        """Let another job take the lease, since this one has ended."""
        stored = self.store.read(self.name)
        if _holder(stored)[0] == self.job:
            # A release that is lost only makes the next job wait until the lease ends.
            self._write(stored, until=0.0)

    def _write(self, stored: Stored | None, *, until: float) -> bool:
        body = document_bytes({"job": self.job, "until": until})
        if stored is None:
            return isinstance(self.store.create(self.name, body), str)
        return isinstance(self.store.replace(self.name, body, etag=stored.etag), str)


def _holder(stored: Stored | None) -> tuple[str | None, float]:
    """Return the job that has the lease, and until when. A damaged lease must not stop all later jobs."""
    try:
        members = json.loads(stored.body) if stored else {}
        return str(members["job"]), float(members["until"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None, 0.0
