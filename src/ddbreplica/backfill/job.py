"""Run a backfill with the options of the command, and keep its progress in a state file until it is done."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from typing import Any

from ddbreplica.backfill.estimate import Estimate
from ddbreplica.backfill.export import Export, Exported, find
from ddbreplica.backfill.listing import Listing
from ddbreplica.backfill.pages import Backfill, Scan, Within, done_earlier
from ddbreplica.backfill.windows import Exports, in_order
from ddbreplica.driver import Driver, Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import StoppedError, TaskError, TransformChangedError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.mapping.lag import lag
from ddbreplica.mapping.last_update import wait_for_update
from ddbreplica.mapping.lookup import find_mapping
from ddbreplica.mapping.preflight import Preflight, despite
from ddbreplica.mapping.safeguards import refuse_unrepairable, refuse_unsafe, shown, warning
from ddbreplica.mapping.source_transform import to_write
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import IDENTITY
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.records.decode import attributes_of
from ddbreplica.transform.deployed import Given
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform, begin_again_once

NAMED = 10
"""The most items that are listed of those that were not copied."""


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The options of the command."""

    segments: int
    from_export: Sequence[str]
    rate: float | None
    read_rate: float | None
    no_wait: bool
    without_mapping: bool
    archive: bool
    dry_run: bool
    transform: Given | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """The source and the replica."""

    source: Described
    replica: Described

    @property
    def names(self) -> Mapping[str, str]:
        """The ARNs of both, as JSON values."""
        return {"source": self.source.table.arn, "replica": self.replica.table.arn}

    def identity(self, listing: str, key_filter: KeyFilter) -> Mapping[str, Any]:
        """Return what must be equal for a run to resume; recreated tables and a new stream are different."""
        return {
            **identity(self.source, self.replica),
            # A new stream lacks the changes from before it, so items behind the cursor may be old.
            "stream": self.source.stream,
            "listing": listing,
            # Keys that another filter excluded are behind the cursor, and would never be copied.
            "filter": list(key_filter.patterns),
        }

    def estimate(self, exports: Exports | None) -> Estimate:
        """Return the estimate for all items, or for those of the exports."""
        if exports is None:
            return Estimate(items=self.source.items, bytes=self.source.bytes, indexes=self.replica.indexes)
        whole = self.source.bytes if exports.since is None else 0
        # An incremental export has any part of the items, whose sizes it does not give.
        changed = round(exports.changed * self.source.bytes / max(1, self.source.items))
        return Estimate(
            items=exports.items, bytes=whole + changed, indexes=self.replica.indexes, is_listed=True
        )


@dataclass(frozen=True, slots=True)
class Copying:
    """The steps of a backfill and their common objects."""

    connection: Connection
    options: BackfillOptions
    tables: Tables
    exports: Exports | None
    ground: Preflight
    transform: SameTransform
    driver: Driver

    def go(self, journal: FileJournal, undecided: Undecided) -> Backfill:
        """Copy the items that are not copied yet. The journal is empty if all items are copied.

        `undecided` lists the items that need review. The state of a damaged export stays, so that the next run
        reports the damage too.
        """
        self._warn()
        self._go_on(journal)
        with self.driver.interruptible() as interrupt:
            backfill = self._copy(journal, undecided, Patience(interrupt))
            # After the last write: what was copied with an earlier transform is not done.
            self.transform.check_now()
            self._note_expired()
            if not journal.open_keys() and not backfill.damaged:
                journal.forget()
        return backfill

    def _note_expired(self) -> None:
        """Note how many items of an archive stay as an earlier transform has made them: the source has them no more."""
        more = self.tables.replica.items - self.tables.source.items
        if self.ground.is_archive and self.transform.view.digest is not None and more > 0:
            self.driver.note(
                f"The archive has about {more:,} items that the source no longer has. They stay as they were written,"
                " also where the present transform would hide a value. `ddbreplica verify` counts them."
            )

    @property
    def read_rate(self) -> float | None:
        """The read capacity units per second to use."""
        return self.tables.source.read_rate(self.options.read_rate)

    def _warn(self) -> None:
        estimate = self.tables.estimate(self.exports)
        seconds = estimate.seconds(rate=self.options.rate, read_rate=self.read_rate)
        behind = None if self.options.without_mapping else lag(self.connection)
        if message := warning(lag=behind, seconds=seconds):
            self.driver.note(message)

    def _go_on(self, journal: FileJournal) -> None:
        """Resume from the journal. Raises TaskError if its state is of a different backfill."""
        listing = self.exports.name if self.exports else f"a scan in {self.options.segments} segments"
        identity, before = (
            self.tables.identity(listing, self.ground.key_filter),
            journal.notes.get(IDENTITY, {}),
        )
        if journal.resume(identity):
            if _is_of(before, self._function):
                self.driver.note(f"Resuming from {journal.name}.")
                return
            # What is behind the cursors was copied with other settings, and maybe written over since then.
            journal.forget()
            self.driver.note(
                f"The function was updated since {journal.name} began: all items are copied again."
            )
        journal.note(IDENTITY, {**identity, **self._function})

    @property
    def _function(self) -> Mapping[str, Any]:
        """What must be equal for the items behind a cursor to be done: the function's transform and last update."""
        updated = self.ground.mapping.updated_at if self.ground.mapping else None
        return {
            "transform": self.transform.view.digest,
            "function updated": updated.isoformat() if updated else None,
        }

    def _copy(self, journal: FileJournal, undecided: Undecided, patience: Patience) -> Backfill:
        reader = self._reader(patience)
        listings = self._listings(reader)
        parts = [part for listing in listings for part in listing.parts]
        about, earlier = self.tables.estimate(self.exports).items, done_earlier(journal, parts)
        with self.driver.progress("copying", about=about, earlier=earlier) as advance:
            rate = Rate(self.options.rate, sleep=patience.interrupt.sleep) if self.options.rate else None
            read_rate = reader.rate if self.read_rate else None
            reconciler = Reconciler.between(
                self.connection,
                (self.tables.source, self.tables.replica),
                journal=journal,
                patience=patience,
                is_archive=self.ground.is_archive,
                transform=self.transform,
                rates=Rates(write=rate, read=read_rate),
            )
            backfill = Backfill(
                listings,
                reconcile=reconciler.reconcile,
                journal=journal,
                undecided=undecided.add,
                threads=self.options.segments,
                advance=advance,
            )
            with self._explained(backfill, journal):
                backfill.run()
        with self._explained(backfill, journal):
            backfill.settle(lambda: self._wait(journal, patience.interrupt))
        return backfill

    def _reader(self, patience: Patience) -> TableReader:
        return TableReader.of(
            self.tables.source.side,
            self.tables.source.table,
            patience,
            threads=self.options.segments,
            read_rate=self.read_rate,
            view=self.transform.view,
        )

    def _listings(self, reader: TableReader) -> Sequence[Listing]:
        """Return the listings, which are read one after the other: two exports may have the same key."""
        return [Within(self.ground.key_filter, whole) for whole in self._whole(reader)]

    def _whole(self, reader: TableReader) -> Sequence[Listing]:
        if self.exports is None:
            return [Scan(reader, self.options.segments)]
        names = [name for name, _ in self.tables.source.table.key_schema]
        return [Exported(self.connection.buckets, export, names) for export in self.exports.each]

    @contextmanager
    def _explained(self, backfill: Backfill, journal: FileJournal) -> Iterator[None]:
        """Record that no request is under way, and add the progress of this run to an error of the block."""
        try:
            yield
        except (TaskError, KeyboardInterrupt) as ended:
            with suppress(TaskError):  # without this record, the next run holds back every open key
                self._rest(backfill, journal)
            if isinstance(ended, TransformChangedError):
                raise
            raise _ended(backfill, ended, journal.name if journal.has_more else None) from ended
        self._rest(backfill, journal)

    def _rest(self, backfill: Backfill, journal: FileJournal) -> None:
        if backfill.is_at_rest:
            journal.rest()

    def _wait(self, journal: FileJournal, interrupt: Interrupt) -> None:
        """Wait until in-doubt writes can no longer land, with a countdown."""
        keys, seconds = journal.held()
        if self.options.no_wait or not keys:
            return
        self.driver.note(
            f"In-doubt writes, which got no response, may still change {keys:,} items. These items are copied in"
            f" {ceil(seconds / 60)} minutes."
        )
        with self.driver.progress("waiting (seconds)", about=round(seconds)) as advance:
            while seconds > 0:
                interrupt.sleep(min(1, seconds))
                interrupt.check()
                advance(1)
                seconds -= 1


def _is_of(before: Mapping[str, Any], function: Mapping[str, Any]) -> bool:
    """Return whether a state was begun with this function. Earlier versions know no transform, and no last update."""
    return {
        name: before.get(name, now if name != "transform" else None) for name, now in function.items()
    } == function


def _ended(backfill: Backfill, why: BaseException, state: str | None) -> TaskError:
    """Return the same error with the progress of this run; `state` is the file from which the next run resumes."""
    noun = "item was" if backfill.items == 1 else "items were"
    so_far, done = f"{backfill.items:,} {noun} processed", facts(backfill)
    if backfill.damaged:
        so_far += f"; {damage(backfill)}"
    if isinstance(why, TaskError):
        where = f"; {state} keeps the progress" if state else ""
        return TaskError(f"{why.fact.rstrip('.')}; {so_far}{where}.", hint=why.hint, facts=done)
    where = f"; it resumes from {state}" if state else ""
    return StoppedError(f"interrupted; {so_far}.", hint=f"run the same command again{where}.", facts=done)


def backfilled(
    connection: Connection,
    options: BackfillOptions,
    driver: Driver,
    journal: FileJournal,
    undecided: Undecided,
) -> tuple[Copying, Backfill]:
    """Check all preconditions, and copy the items that are not copied yet, as `Copying.go` does.

    It begins again, once, if the function's transform was changed meanwhile.
    """

    def work() -> tuple[Copying, Backfill]:
        copying = prepare(connection, options, driver)
        return copying, copying.go(journal, undecided)

    return begin_again_once(work, driver.note)


def prepare(connection: Connection, options: BackfillOptions, driver: Driver) -> Copying:
    """Check all preconditions and return the backfill. Raises TaskError if one is not met."""
    source, replica = describe_pair(connection)
    if options.dry_run:
        for note in leftovers(connection, source, replica, states=driver.states_of(connection.tables)):
            driver.note(note)
    else:
        connection.clock.refuse_fast()
    tables = Tables(source, replica)
    exports = _exports(connection, options.from_export, tables.source) if options.from_export else None
    ground = _ground(connection, options, tables, exports, driver)
    ground.warn_of_replicas(source, note=driver.note)
    if exports and exports.since:
        driver.note(
            f"The exports have the items that changed from {shown(exports.since)} to {shown(exports.until)}, except"
            " those that were created and deleted within one export. Only these are copied; compare the tables"
            " afterwards."
        )
    transform = NO_TRANSFORM
    if not options.dry_run:
        ground = _after_update(connection, ground, driver)
        transform = to_write(connection, ground.mapping, source, given=options.transform)
    return Copying(connection, options, tables, exports, ground, transform, driver)


def _after_update(connection: Connection, ground: Preflight, driver: Driver) -> Preflight:
    """Return the preflight as it is when no invocation with earlier settings of the function is under way."""
    before = ground.mapping
    if before is None:
        return ground

    def read_again() -> MappingState:
        return refuse_unrepairable(find_mapping(connection, before.stream_arn))

    with driver.interruptible() as interrupt:
        mapping = wait_for_update(
            before, read_again, now=lambda: connection.clock.moment, driver=driver, interrupt=interrupt
        )
    return replace(ground, mapping=mapping)


def _exports(connection: Connection, urls: Sequence[str], source: Described) -> Exports:
    """Return the exports. Raises TaskError if one of them cannot be used, or a change between them was missed."""
    found = find(connection.buckets, urls)
    for export in found:
        if not _is_export_of(export, source):
            raise TaskError(
                f"{export.url} is not an export of the present source table.",
                hint=f"name an export of {source.table.arn}.",
            )
    return in_order(found)


def _is_export_of(export: Export, source: Described) -> bool:
    """Return whether the export is of this table. A recreated or restored one has the same ARN, and other keys."""
    table_id = source.description.get("TableId")
    return (
        export.table_arn == source.table.arn
        and export.taken_at >= source.description["CreationDateTime"]
        and (table_id is None or export.table_id in (None, table_id))
    )


def _ground(
    connection: Connection,
    options: BackfillOptions,
    tables: Tables,
    exports: Exports | None,
    driver: Driver,
) -> Preflight:
    """Return the preflight. Raises TaskError if a change could be missed."""
    if options.without_mapping:
        return despite(connection, archive=options.archive, note=driver.note)
    stream = tables.source.stream
    mapping = refuse_unsafe(
        find_mapping(connection, stream),
        stream=stream,
        exported_at=exports.until if exports else None,
        now=connection.clock.local(),
    )
    return Preflight.on(mapping, archive=options.archive)


def facts(done: Backfill) -> dict[str, Any]:
    """Return the result as JSON values; keys are in DynamoDB JSON."""
    first = islice(done.left.items(), NAMED)
    return {
        "items": done.items,
        "outside": done.outside,
        "left": len(done.left),
        "left_items": [{"key": attributes_of(key), "reason": reason} for key, reason in first],
        "damaged": [{"file": part, "reason": reason} for part, reason in sorted(done.damaged.items())],
    }


def damage(done: Backfill) -> str:
    """Return a clause about the damaged parts of an export, of which there is at least one."""
    first, *others = (f"{part} {reason}" for part, reason in sorted(done.damaged.items()))
    return f"{first} (and {len(others):,} more files)" if others else first
