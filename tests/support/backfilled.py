"""Two tables in memory and an export of the source, for tests of the engine of `backfill` without AWS."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.backfill import job
from ddbreplica.backfill.job import BackfillOptions, Copying
from ddbreplica.backfill.pages import Backfill
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Image, Items, Key, Table
from ddbreplica.reconcile.algorithm import ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL
from ddbreplica.reconcile.rescan import Rescan
from tests.support import redriven
from tests.support.clock import Clock
from tests.support.fake_s3 import NAME, FakeS3
from tests.support.memory_state import MemoryLines
from tests.support.recording import Recording, states_of
from tests.support.redriven import ARN, described, mapping

NOW = datetime(2026, 11, 28, 18, tzinfo=UTC)
"""The current local time."""

STREAM = mapping().stream_arn
FOLDER = "exports/AWSDynamoDB/01234-abc/"
URL = f"s3://{NAME}/{FOLDER}"

WANTED = BackfillOptions(
    segments=4,
    from_export=(),
    rate=None,
    read_rate=None,
    no_wait=False,
    without_mapping=False,
    archive=False,
    dry_run=False,
)


def table(name: str, *, read_units: int | None = None, **description: Any) -> Described:
    """Return a table with more of the members of DescribeTable."""
    plain = described(name, read_units=read_units)
    return replace(plain, description={**plain.description, **description})


def source(*, read_units: int | None = None, **description: Any) -> Described:
    """Return the source with its stream."""
    stream = {"StreamSpecification": {"StreamEnabled": True}, "LatestStreamArn": STREAM}
    return table("logfile", read_units=read_units, **{**stream, **description})


class World(redriven.World):
    """The tables `logfile` and `copy`, and the fakes that replace AWS in the engine's module.

    `reconciled` is called with the keys before each reconcile, and `scanned` with the segment before each page. A page
    takes half a read unit, and `rescans` counts the scans that read one once more.
    """

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.s3 = _S3(page=1000)
        self.connection.buckets = self.s3.connect()  # type: ignore[misc]
        self.tables = source(), table("copy")
        self.clock.local = lambda: NOW
        self.mapping: MappingState | None = mapping()
        self.lag: float | None = None
        self.leftovers: Sequence[str] = ()
        self.rate = Rate(None)
        self.scanned: Callable[[int], None] = lambda _: None
        self.segments: set[tuple[int, int]] = set()
        self.rescans = 0

    def measured_lag(self, connection: Connection) -> float | None:
        assert connection is self.connection
        return self.lag

    def find_mapping(self, connection: Connection, stream: str | None) -> MappingState | None:
        assert connection is self.connection
        return self.mapping if self.mapping and self.mapping.stream_arn == stream else None

    def despite(self, connection: Connection, **wanted: Any) -> Preflight:
        assert connection is self.connection
        self.asked |= wanted
        return self.ground

    def left_over(
        self, connection: Connection, source: Described, replica: Described, *, states: Mapping[str, Path]
    ) -> Iterator[str]:
        assert (connection, source, replica) == (self.connection, *self.tables)
        assert states == states_of(connection.tables)
        yield from self.leftovers

    def reader(self, side: Side, described: Table, patience: Any, **how: Any) -> "_Reader":
        assert (side, described) == (self.tables[0].side, self.tables[0].table)
        self.asked |= {f"reader_{name}": value for name, value in how.items()} | {"reader_patience": patience}
        return _Reader(self)

    def reconciler(self, connection: Connection, tables: Any, **how: Any) -> Any:
        assert (connection, tables) == (self.connection, self.tables)
        self.asked |= how
        pair = ReconcileContext(self.source, self.replica, how["journal"], is_archive=how["is_archive"])

        def noted(keys: Sequence[Key], seen: Items, rescan: Rescan | None) -> Reconciled:
            self.reconciled(keys)
            return reconcile(keys, pair, deadline=Clock(1e6).deadline(), seen=seen, rescan=rescan)

        return SimpleNamespace(reconcile=noted)

    def export(
        self,
        *files: str,
        taken_at: datetime = NOW,
        lacking: int = 0,
        table_arn: str = f"{ARN}/logfile",
        **summary: Any,
    ) -> str:
        """Store an export whose files contain items with these letters as keys, and return its folder.

        Each file lacks `lacking` of the items that the manifest counts.
        """
        entries = []
        for number, names in enumerate(files):
            body = b"".join(
                json.dumps({"Item": {"PK": {"S": name}, "old": {"BOOL": True}}}).encode() + b"\n"
                for name in names
            )
            self.s3.store(f"{FOLDER}data/{number}.json.gz", gzip.compress(body, mtime=0))
            entries.append({"itemCount": len(names) + lacking, "dataFileS3Key": f"data/{number}.json.gz"})
        summary = {
            "tableArn": table_arn,
            "exportTime": taken_at.isoformat(),
            "outputFormat": "DYNAMODB_JSON",
            "itemCount": sum(len(names) + lacking for names in files),
            **summary,
        }
        manifest = "".join(json.dumps(entry) + "\n" for entry in entries)
        self.s3.store(f"{FOLDER}manifest-files.json", manifest.encode())
        self.s3.store(f"{FOLDER}manifest-summary.json", json.dumps(summary).encode())
        return URL


class Runs:
    """Runs of the engine with the same tables and state, and what each run showed and listed for review.

    `slept_for` is called with the seconds of each sleep, which then have passed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.lines = MemoryLines()
        self.recording = Recording()
        self.undecided: list[Key] = []
        self.slept = 0.0
        self.slept_for: Callable[[float], None] = lambda _: None

    def prepare(self, world: World, **wanted: Any) -> Copying:
        self._use(world)
        self.recording = Recording()

        def sleep(seconds: float) -> None:
            assert self.slept < 10_000, "it waits forever"
            self.slept_for(seconds)
            self.slept += seconds
            world.clock.pass_by(seconds)

        self.recording.interrupt.sleep = sleep  # type: ignore[method-assign]
        return job.prepare(world.connection, replace(WANTED, **wanted), self.recording.driver)

    def backfill(self, world: World, **wanted: Any) -> Backfill:
        """Run the engine as the command does. The state stays if it has open keys or findings."""
        copying = self.prepare(world, **wanted)
        journal = self.journal(world)
        review: Any = SimpleNamespace(add=self.undecided.extend)
        with journal.kept():
            return copying.go(journal, review)

    def journal(self, world: World) -> FileJournal:
        self.lines.is_open = True
        return FileJournal(self.lines, command=BACKFILL, clock=world.clock)

    def notes(self, world: World) -> dict[str, Any]:
        """Return what the next run would read from the state."""
        with closing(self.journal(world)) as journal:
            return dict(journal.notes)

    def open_keys(self, world: World) -> Sequence[Key]:
        with closing(self.journal(world)) as journal:
            return journal.open_keys()

    def _use(self, world: World) -> None:
        for name, fake in (
            ("describe_pair", world.describe_pair),
            ("lag", world.measured_lag),
            ("find_mapping", world.find_mapping),
            ("despite", world.despite),
            ("to_write", world.to_write),
            ("leftovers", world.left_over),
            ("TableReader", SimpleNamespace(of=world.reader)),
            ("Reconciler", SimpleNamespace(between=world.reconciler)),
        ):
            self._monkeypatch.setattr(job, name, fake)


class _S3(FakeS3):
    def download_fileobj(self, bucket: str, name: str, file: Any, **_: Any) -> None:
        assert bucket == NAME
        file.write(self._find(name, {}).body)


class _Reader:
    """Scans the source, with one page per segment."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rate = world.rate

    def scan_on(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Iterator[tuple[Items, Any, float]]:
        assert (after, limit) == (None, 200)
        self._world.scanned(segment)
        self._world.segments.add((segment, of))
        yield self._segment(segment, of), None, 0.5

    def rescan(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Sequence[tuple[Key, Image]]:
        assert after is None
        self._world.rescans += 1
        return list(self._segment(segment, of).items())[:limit]

    def _segment(self, segment: int, of: int) -> dict[Key, Image]:
        return dict(list(self._world.source.items.items())[segment::of])
