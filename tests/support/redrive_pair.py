"""A pair of tables in memory, as a scheduled redrive sees it, with both buckets on the pair's clock."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from ddbreplica.bucket.quarantine import IN_DOUBT_SUFFIX
from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.describe import Described
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.job import Writing
from ddbreplica.jobs.payload import Payload
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import SUSPECT, Journal, Key, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Reconciler
from tests.support.fake_s3 import NAME, NOW
from tests.support.job_pair import MemoryPair
from tests.support.memory_state import ManualClock
from tests.support.records import put
from tests.support.redriven import QUARANTINE, World
from tests.support.scanned import ScannedTable


class RedrivePair(MemoryPair):
    """The tables and buckets of a World. `redrive` invokes the worker as the state machine does."""

    def __init__(
        self,
        *names: str,
        reconciled: Callable[[Sequence[Key]], None] = lambda _: None,
        ahead_by: float = 0.0,
    ) -> None:
        clock = ManualClock(aws=NOW.timestamp(), ahead_by=ahead_by)
        self.world = World(*names, reconciled=reconciled, clock=clock)
        super().__init__((ScannedTable({}, ()), ScannedTable({}, ())), clock=clock)
        self.connection = self.world.connection
        self.s3 = self.world.s3
        self.s3.now = lambda: datetime.fromtimestamp(clock.aws, UTC)
        self.notes: list[str] = []
        self.runs = 0

    def describe(self) -> tuple[Described, Described]:
        self.before()
        return self.world.tables

    def preflight(self, *, without_mapping: bool, archive: bool) -> Preflight:
        assert (without_mapping, archive) == (False, False)
        return self.world.ground

    def quarantining(self, journal: Journal, source: Table, *, command: str) -> QuarantiningJournal:
        return QuarantiningJournal.of(journal, self.connection, NAME, source, command=command)

    def reconciler(
        self, tables: tuple[Described, Described], journal: Journal, writing: Writing
    ) -> Reconciler:
        writes = self.world.reconciler(
            self.connection,
            tables,
            journal=journal,
            is_archive=writing.is_archive,
            under_way=writing.under_way,
            transform=writing.transform,
        )
        return cast("Reconciler", writes)

    def redrive(self, *, timeout: float = 900.0, job: str | None = None) -> Any:
        """Invoke the worker once, for a new execution unless `job` is given."""
        self.runs += 1
        name = job or f"redrive-{self.runs}"
        ends_at = self.clock.monotonic + timeout
        deadline = Deadline(lambda: ends_at - self.clock.monotonic, sleep=self.clock.pass_by)
        event = {
            "action": "redrive",
            "function": "replicator",
            "stack": "stack",
            "job": name,
            "attempt": name,
        }
        self.notes.clear()
        return act(
            Payload.read(event),
            lambda _: self,
            deadline=deadline,
            note=lambda *texts: self.notes.extend(texts),
        )

    def doubt(self, name: str, *, age: float = 3600.0, code: str = SUSPECT, ahead: float | None = 0.0) -> str:
        """Quarantine an in-doubt record of the item as the function does, and return the object's name."""
        content = {
            "schema": 1,
            "record": put(1, name),
            "reason": "why",
            "error_code": code,
            "clock_ahead_seconds": ahead,
        }
        place = f"{QUARANTINE}{name}-{len(self.s3.versions)}{IN_DOUBT_SUFFIX}"
        self.s3.store(place, json.dumps(content).encode(), age=age)
        return place

    @property
    def waiting(self) -> list[Any]:
        """The content of the objects in the quarantine bucket that are not moved, in the order of their names."""
        return [
            json.loads(found.body or b"")
            for name in self.s3.names
            if name.startswith(QUARANTINE) and (found := self.s3.present(name))
        ]

    @property
    def codes(self) -> list[tuple[str, str]]:
        """The key and the error code of each of these objects."""
        return sorted(
            (each["record"]["dynamodb"]["Keys"]["PK"]["S"], each["error_code"]) for each in self.waiting
        )
