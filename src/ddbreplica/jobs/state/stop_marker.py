"""Ask the workers of one attempt of a job to stop. A later attempt of the same job ignores the request."""

from typing import Final

from ddbreplica.bucket.store import Store, create_once

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
        create_once(self._store, self.name, _BODY, hint="run the same command again.")
