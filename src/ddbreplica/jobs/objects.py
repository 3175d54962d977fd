"""The objects of a job in the quarantine bucket: their names, and how each kind of them is written."""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ddbreplica.bucket.store import Store, create_once
from ddbreplica.errors import TaskError

PLAN: Final = "plan.json"
SEGMENTS: Final = "segments.jsonl"
SUSPECTS: Final = "suspects.json"
PIECES: Final = "pieces.jsonl"
REPORT: Final = "report.json"

SEGMENT: Final = "segment"
PIECE: Final = "piece"
"""The kinds of states."""

PART_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a part, or a line more. A worker holds one part in memory."""


@dataclass(frozen=True, slots=True)
class JobObjects:
    """The objects of one job. A stack has the name of its replicator's stack in AWS CloudFormation."""

    store: Store
    stack: str
    job: str

    @property
    def folder(self) -> str:
        """The beginning of the names of the job's objects, without the last slash."""
        return f"jobs/{self.stack}/{self.job}"

    def name(self, of: str) -> str:
        """Return the full name of an object of the job."""
        return f"{self.folder}/{of}"

    def state(self, kind: str, number: int) -> str:
        """Return the full name of the state of a segment or a piece."""
        return self.name(f"states/{kind}-{number:05}.json")

    def read(self, name: str) -> bytes | None:
        """Return the content of an object of the job, or None if it does not exist."""
        stored = self.store.read(self.name(name))
        return None if stored is None else stored.body

    def create(self, name: str, body: bytes) -> bytes:
        """Store an object of the job unless it exists. Return the content that it has now, whoever stored it."""
        return create_once(self.store, self.name(name), body)

    def add(self, lines: Iterable[bytes]) -> Sequence[str]:
        """Store lines of JSON in new objects with unique names, and return the names.

        They count only if a state lists them, so that nothing is counted that its owner has not saved.
        """
        names = list[str]()
        for body in _bodies(lines):
            names.append(f"parts/{secrets.token_hex(16)}.jsonl")
            self.create(names[-1], body)
        return names

    def lines(self, names: Iterable[str]) -> Iterator[Any]:
        """Yield the JSON values in objects that `add` has stored. Raises TaskError if one does not exist."""
        for name in names:
            body = self.read(name)
            if body is None:
                raise TaskError(
                    f"the object {self.name(name)} does not exist, although a state lists it.",
                    hint="start a new job, and keep the objects of a job until it has ended.",
                )
            yield from map(json.loads, body.splitlines())


def document_bytes(document: Any) -> bytes:
    """Return a JSON value as the content of an object, always in the same form."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def lines_of(documents: Iterable[Any]) -> Iterator[bytes]:
    """Yield JSON values as lines of an object."""
    return (document_bytes(each) + b"\n" for each in documents)


def _bodies(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the contents of the objects, each of a limited size."""
    body = bytearray()
    for each in lines:
        body += each
        if len(body) >= PART_BYTES:
            yield bytes(body)
            body.clear()
    if body:
        yield bytes(body)
