"""Ask the workers of one attempt of a job to stop. A later attempt of the same job ignores the request."""

from typing import Final

from ddbreplica.bucket.store import Conflict, Store
from ddbreplica.errors import TaskError
from ddbreplica.jobs.state.fenced_state import ATTEMPTS

_BODY: Final = b"{}"


class StopMarker:
    """The object `stop-<attempt>` of a job. Its workers look for it before each page."""

    def __init__(self, store: Store, folder: str, *, attempt: str) -> None:
        """Send no request yet. `folder` is that of the job, such as `jobs/stack/job`."""
        self.name = f"{folder}/stop-{attempt}"
        self._store = store

    def is_set(self) -> bool:
        """Return whether the attempt was asked to stop."""
        return self._store.read(self.name) is not None

    def set(self) -> None:
        """Ask the attempt to stop. It may have been asked before. Raises TaskError if that cannot be confirmed."""
        for _ in range(ATTEMPTS):
            result = self._store.create(self.name, _BODY)
            if isinstance(result, str) or result is Conflict.CHANGED:
                return
        raise TaskError(
            f"the job's workers cannot be asked to stop: S3 did not confirm that {self.name} was written.",
            hint="run the same command again.",
        )
