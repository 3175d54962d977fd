"""The plan of a job: what every worker of it needs to know, and what must not change until it ends. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Final

from ddbreplica.errors import JobEndedError
from ddbreplica.jobs.objects import document_bytes
from ddbreplica.records.text import identity_text

SCHEMA: Final = 1

VERIFY: Final = "verify"
BACKFILL: Final = "backfill"
REDRIVE: Final = "redrive"
"""The kinds of work. A redrive has no plan."""

ITEMS_OF_A_SEGMENT: Final = 200_000
"""The items of a segment, about: some minutes of work, which is what a worker that is killed may lose."""

MAX_SEGMENTS: Final = 10_000

_START_NEW: Final = "start a new job."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a job. It is written once, and no worker changes it.

    `began` is when it was made, in ISO 8601; no scan began earlier. `pair` has both tables with their creation times,
    `patterns` are those of the filter that applies. The table is scanned in `segments`, in `lines` tasks of the Map, by
    `workers` at a time, at most. `read_rates` are the read capacity units per second that all workers use together, of
    the source and of the replica; `write_rate` are the write capacity units, and 0 if the job writes nothing.
    `stream` is the source's stream, which brings the changes that a backfill does not see; None if the job needs none.
    `transform` is the digest of the function's transform; None without one. `function_updated` is when the function was
    last updated, for a backfill. `estimate` is what the job takes.
    """

    what: str
    function: str
    began: str
    options: Mapping[str, Any]
    pair: Mapping[str, str]
    patterns: Sequence[str]
    is_archive: bool
    segments: int
    lines: int
    workers: int
    read_rates: Sequence[float]
    write_rate: float
    stream: str | None
    transform: str | None
    function_updated: str | None
    estimate: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """The content of the object."""
        return document_bytes({"schema": SCHEMA, **asdict(self)})

    @property
    def digest(self) -> str:
        """The hash of the plan, by which a state belongs to it."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def segment_lines(self) -> Iterator[Mapping[str, Sequence[int]]]:
        """The lines of the Map. Each segment is in one of them."""
        return ({"segments": list(range(line, self.segments, self.lines))} for line in range(self.lines))

    @classmethod
    def read(cls, body: bytes) -> "Plan":
        """Return a plan that was stored. Raises TaskError if it was not written by this version."""
        try:
            return cls._read(body)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise JobEndedError(
                "the plan of the job was not written by this version of ddbreplica, or is damaged.",
                hint=_START_NEW,
            ) from error

    @classmethod
    def _read(cls, body: bytes) -> "Plan":
        members = json.loads(body)
        schema = members.pop("schema")
        plan = cls(**members)
        if schema != SCHEMA or plan.body != body or not 1 <= plan.lines <= plan.segments <= MAX_SEGMENTS:
            raise ValueError(members)
        return plan

    def refuse_other(self, *, what: str, function: str) -> None:
        """Raise TaskError if the plan is that of other work."""
        if (self.what, self.function) != (what, function):
            raise JobEndedError(
                f"the job is a {self.what} of the function {self.function}, and not a {what} of {function}.",
                hint="start a new job, or name a job of this function.",
            )

    def refuse_changed(self, now: "Conditions") -> None:
        """Raise TaskError if a table was recreated since the plan was made, or the function's settings changed."""
        for name, each in self.pair.items():
            if now.pair[name] != each:
                raise JobEndedError(
                    f"the {name} was recreated since the job was planned, or is another table: it was"
                    f" {identity_text(each)}, and is {identity_text(now.pair[name])}.",
                    hint=_START_NEW,
                )
        if self.stream not in (None, now.stream):
            # A new stream lacks the changes from before it, so that items that were copied already may be old.
            raise _changed(f"the source's stream changed from {self.stream} to {now.stream or 'none'}")
        if list(now.patterns) != list(self.patterns):
            raise _changed("the filter of the event source mapping changed")
        if now.is_archive != self.is_archive:
            raise _changed("the replica was changed into an archive, or from one into a plain replica")
        if now.transform != self.transform:
            raise _changed("the function's transform changed")
        if self.function_updated not in (None, now.function_updated):
            # An earlier transform may have been deployed meanwhile, and have written over what was copied.
            raise _changed("the function was updated")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must not change until a job ends, with the meanings that they have in a plan."""

    pair: Mapping[str, str]
    patterns: Sequence[str]
    is_archive: bool
    stream: str | None
    transform: str | None
    function_updated: str | None


def segments_of(items: int) -> int:
    """Return in how many segments a table of this many items is scanned."""
    return max(1, min(MAX_SEGMENTS, ceil(items / ITEMS_OF_A_SEGMENT)))


def segment_lines_of(segments: int, *, concurrency: int, unreserved: int) -> tuple[int, int]:
    """Return in how many lines of the Map the segments are, and how many workers run at a time.

    The workers take at most half of the account's unreserved concurrency. Where that is less than the Map's own
    concurrency, only the number of lines limits it.
    """
    most = max(1, unreserved // 2)
    lines = min(segments, most) if most < concurrency else segments
    return lines, min(lines, concurrency)


def _changed(fact: str) -> JobEndedError:
    return JobEndedError(f"{fact} since the job was planned.", hint=_START_NEW)
