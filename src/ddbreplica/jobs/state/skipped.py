"""Note the last scheduled job that was skipped, since another one ran. Its execution leaves nothing else."""

import json
from dataclasses import dataclass
from datetime import datetime

from ddbreplica.bucket.store import Store
from ddbreplica.jobs.objects import document_bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """A scheduled job that was skipped, the `other` job that ran then, and when that was."""

    job: str
    other: str
    at: datetime


def note_skipped(store: Store, stack: str, skipped: Skipped) -> None:
    """Note a job that was skipped, in place of the one before. Of two at once, one may be noted."""
    document = {"job": skipped.job, "other": skipped.other, "at": skipped.at.isoformat()}
    name, body = _name(stack), document_bytes(document)
    before = store.read(name)
    if before is None:
        store.create(name, body)
    else:
        store.replace(name, body, etag=before.etag)


def last_skipped(store: Store, stack: str) -> Skipped | None:
    """Return the last job that was skipped; None if none was, or if the note is damaged."""
    stored = store.read(_name(stack))
    try:
        members = json.loads(stored.body) if stored else {}
        return Skipped(str(members["job"]), str(members["other"]), datetime.fromisoformat(members["at"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _name(stack: str) -> str:
    return f"jobs/{stack}/skipped.json"
