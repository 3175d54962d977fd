"""Run a redrive: reconcile the items of the records in the buckets, and move the objects that are done to `done/`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from ddbreplica.driver import Driver, Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.mapping.preflight import Preflight, to_repair
from ddbreplica.mapping.source_transform import to_write
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import REDRIVE
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.redrive import report
from ddbreplica.redrive.objects import (
    LISTED_AT_A_TIME,
    FoundObject,
    ObjectOutcome,
    Reconcile,
    Redriven,
    Redriver,
    find,
)
from ddbreplica.redrive.places import Buckets
from ddbreplica.transform.deployed import Given
from ddbreplica.transform.same_transform import begin_again_once

ShowResult: TypeAlias = Callable[[Redriven], None]
"""Prints the result, before keys that only the result lists are closed."""

_LISTED_ONCE = frozenset({ObjectOutcome.UNDECIDED, ObjectOutcome.OUTSIDE})
"""The outcomes of a key without an object that a run lists once: an operator decides, and no later run can."""


@dataclass(frozen=True, slots=True)
class RedriveOptions:
    """The options of the command."""

    quarantine_bucket: str | None
    on_failure_bucket: str | None
    older_than: float
    limit: int | None
    rate: float | None
    read_rate: float | None
    without_mapping: bool
    archive: bool
    dry_run: bool
    transform: Given | None = None


def redrive(
    connection: Connection, options: RedriveOptions, show: ShowResult, driver: Driver, journal: FileJournal
) -> Redriven:
    """Run a redrive, with its open keys in the journal, and return the result.

    It begins again, once, if the function's transform was changed meanwhile. Raises TaskError, with the partial result,
    if it cannot be completed.
    """
    under_way = UnderWay()
    with journal.leaving(is_at_rest=lambda: under_way.is_none):
        return begin_again_once(
            lambda: _redrive(connection, options, show, driver, journal, under_way), driver.note
        )


def _redrive(
    connection: Connection,
    options: RedriveOptions,
    show: ShowResult,
    driver: Driver,
    journal: FileJournal,
    under_way: UnderWay,
) -> Redriven:
    source, replica = describe_pair(connection)
    if journal.resume(identity(source, replica)):
        driver.note(f"Resuming from {journal.name}.")
    connection.clock.refuse_fast()
    ground = to_repair(
        connection, without_mapping=options.without_mapping, archive=options.archive, note=driver.note
    )
    transform = to_write(connection, ground.mapping, source, given=options.transform)
    buckets = _buckets(ground, options, driver)
    places = tuple(buckets.places(connection, source, ground.key_filter))
    with driver.interruptible() as interrupt:
        reconciler = Reconciler.between(
            connection,
            (source, replica),
            journal=QuarantiningJournal.of(
                journal, connection, buckets.quarantine, source.table, command=REDRIVE
            ),
            patience=Patience(interrupt),
            is_archive=ground.is_archive,
            transform=transform,
            rates=Rates(
                write=Rate(options.rate, sleep=interrupt.sleep),
                read=Rate(source.read_rate(options.read_rate), sleep=interrupt.sleep),
            ),
            under_way=under_way,
        )
        work = _Work(
            _Open(journal, ground.key_filter, reconciler.reconcile, transform.check_now), interrupt, driver
        )
        redriven = work.through(find(places, older_than=options.older_than, limit=options.limit))
    show(redriven)
    # Only after the result was printed: no object has these keys, so until then only the journal has them.
    journal.confirm([key for key, (outcome, _) in redriven.open.items() if outcome in _LISTED_ONCE])
    return redriven


def preview(connection: Connection, options: RedriveOptions, show: ShowResult, driver: Driver) -> Redriven:
    """Return the result of a dry run. It writes nothing and needs no state."""
    source, replica = describe_pair(connection)
    ground = to_repair(
        connection, without_mapping=options.without_mapping, archive=options.archive, note=driver.note
    )
    places = tuple(_buckets(ground, options, driver).places(connection, source, ground.key_filter))
    for note in leftovers(connection, source, replica, states=driver.states_of(connection.tables)):
        driver.note(note)
    with driver.interruptible() as interrupt:
        work = _Work(None, interrupt, driver)
        redriven = work.through(find(places, older_than=options.older_than, limit=options.limit))
    show(redriven)
    return redriven


def _buckets(ground: Preflight, options: RedriveOptions, driver: Driver) -> Buckets:
    return Buckets.of(
        ground.mapping,
        quarantine=options.quarantine_bucket,
        on_failure=options.on_failure_bucket,
        note=driver.note,
    )


@dataclass(frozen=True, slots=True)
class _Open:
    """The open keys of a state, and the function that reconciles them."""

    journal: FileJournal
    key_filter: KeyFilter
    reconcile: Reconcile
    check_transform: Callable[[], None]

    def reconcile_objects(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys of objects. Keys that were not reconciled are no longer open, since their objects stay.

        Keys with an in-doubt write remain open.
        """
        reconciled = self.reconcile(keys)
        refused = (key for key, _ in reconciled.refused)
        self.journal.confirm([*reconciled.changing, *reconciled.undecided, *refused])
        return reconciled

    def resume(self, redriver: Redriver) -> None:
        """Reconcile the open keys that are no longer in any object."""
        keys = self.journal.open_keys()
        redriver.leave_outside([key for key in keys if not self.key_filter.passes(key)])
        redriver.resume([key for key in keys if self.key_filter.passes(key)], self._reconcile_for_good)

    def _reconcile_for_good(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys that nothing but the journal has. They stay open if the transform was changed meanwhile."""
        reconciled = self.reconcile(keys)
        with self.journal.reopening(keys):
            self.check_transform()
        return reconciled


@dataclass(frozen=True, slots=True)
class _Work:
    """The processing of objects; a dry run if `open` is None."""

    open: _Open | None
    interrupt: Interrupt
    driver: Driver

    def through(self, found: Iterator[FoundObject]) -> Redriven:
        """Process the objects and return the result. Raises TaskError with the partial result."""
        redriver = Redriver(self.open, interrupt=self.interrupt)
        piece = tuple(islice(found, LISTED_AT_A_TIME))
        objects = 0
        try:
            while piece:
                objects += len(piece)
                with self.driver.progress("redriving", about=len(piece)) as advance:
                    redriver.run(piece, advance)
                piece = tuple(islice(found, LISTED_AT_A_TIME))
            if self.open:
                self.open.resume(redriver)
        except KeyboardInterrupt as pressed:
            hint = "run the same command again to process the remaining objects."
            error = StoppedError("interrupted", hint=hint)
            raise self._ended(redriver.redriven, objects, error) from pressed
        except TaskError as error:
            raise self._ended(redriver.redriven, objects, error) from error
        return self._counted(redriver.redriven)

    def _counted(self, redriven: Redriven) -> Redriven:
        if self.open:
            redriven.in_doubt, redriven.in_doubt_seconds = self.open.journal.held()
        return redriven

    def _ended(self, redriven: Redriven, objects: int, why: TaskError) -> TaskError:
        """Return the same error, with the partial result."""
        done = f"{redriven.counts[ObjectOutcome.RECONCILED]:,} of {objects:,} objects were repaired and moved to done/"
        facts = report.document(self._counted(redriven))
        return type(why)(f"{why.fact.rstrip('.')}; {done}.", hint=why.hint, facts=facts)
