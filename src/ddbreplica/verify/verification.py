"""The steps of one verification: compare both tables, confirm what looks different, and repair it if asked to."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from typing import Protocol

from ddbreplica.driver import Advance, Driver
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair, refuse_recreated
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import StoppedError, TaskError, TransformChangedError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Table
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.given_keys import KeyComparison
from ddbreplica.verify.compare.merge import Merge
from ddbreplica.verify.confirm.plan import DEFAULT_GRACE
from ddbreplica.verify.difference import Difference, Swept
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import Look, Repair, RepairResult, Repairs, foretell, leave
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.result.verdict import Verified
from ddbreplica.verify.saved_progress import SavedProgress

_UNSEEN = (
    "The event source mapping cannot be read ({why}). Its filter is ignored, and items that only the replica has are"
    " reported as extra, unless --archive is given."
)
_STOPPED_EARLY = (
    "Stopped early after {:,} suspected differences; the remaining items were not compared. Try: add --report or"
    " --repair, which compare all items."
)


class Confirming(Protocol):
    """The confirmation of suspected differences: `verify.confirm`."""

    @property
    def by_looks(self) -> bool:
        """Whether the stream could not be read."""
        ...

    @property
    def lag(self) -> float | None:
        """The lag in seconds; None if it is unknown or was not asked for."""
        ...

    def differences(self) -> Iterator[Difference]:
        """Yield the result of each key that is not equal."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a verification works with.

    `tables` and `readers` are those of the source and the replica. `unseen` is why the mapping cannot be read.
    `confirm` begins the confirmation of suspected differences, and `unequal` looks at keys once. `repair` is None if
    nothing is written.
    """

    connection: Connection
    options: VerifyOptions
    driver: Driver
    sleep: Callable[[float], None]
    tables: tuple[Described, Described]
    readers: tuple[TableReader, TableReader]
    key_filter: KeyFilter
    is_archive: bool
    unseen: str | None
    confirm: Callable[[KeySet], Confirming]
    unequal: Look
    transform: SameTransform
    repair: Repair | None
    saved: SavedProgress
    findings: Findings


class Verification:
    """One verification of two tables. `result` has what is known so far."""

    def __init__(self, parts: Parts, *, started: float) -> None:
        """Compare nothing yet. `started` is the time at which the command started, by the connection's clock."""
        self._parts = parts
        self._repair = parts.repair
        self._saved = parts.saved
        self._findings = parts.findings
        self._started = started
        self._suspects = KeySet()
        self._advance: Advance = lambda _: None
        self._comparing: Merge | KeyComparison | None = None
        self._is_stopped_early = False
        self._transform_changed = False

    def run(self) -> None:
        """Run all steps. Raises TaskError, with what is known so far, if one fails or is interrupted."""
        repair = self._repair
        try:
            with closing(self._suspects), closing(KeySet()) as keys:
                self._compare_all(self._begin(keys))
            if repair is not None:
                for difference, outcome in repair.of_open_keys(self._parts.key_filter):
                    self._findings.add(difference, outcome)
            self._refuse_recreated()
            self._check_transform()
        except TransformChangedError:
            raise
        except (TaskError, KeyboardInterrupt) as ended:
            raise self._ended(ended) from ended
        finally:
            # Also after an error: an operator has to know until when the replica may change.
            if repair is not None and (in_doubt := repair.in_doubt()):
                self._parts.driver.note(in_doubt)

    @property
    def result(self) -> Verified:
        """The result so far, which is the verdict if `run` has returned."""
        parts, (source, replica) = self._parts, self._parts.tables
        return Verified(
            source.side.name,
            replica.side.name,
            parts.options.looked_at(parts.key_filter, is_archive=parts.is_archive),
            self._comparing.counts if self._comparing else Swept(),
            self._findings,
            parts.options.repair,
            parts.connection.clock.ticks() - self._started,
            began=self._saved.began,
            suspects=len(self._suspects),
            stopped_early=self._is_stopped_early,
            confirmed_by=self._findings.confirmed_by,
            lag=self._findings.lag,
            in_doubt=self._repair.journal.held()[0] if self._repair else 0,
            transform=parts.transform.view.digest,
            transform_changed=self._transform_changed,
        )

    def _begin(self, keys: KeySet) -> Merge | KeyComparison:
        """Return the comparison, with the progress of an earlier run. `keys` gets those of --keys-from."""
        options, parts = self._parts.options, self._parts
        comparison = Comparison(
            parts.readers,
            self._suspects,
            advance=self._count,
            in_step=InStep(parts.driver.note),
            suspected=self._saved.suspected,
            key_filter=parts.key_filter,
            is_archive=parts.is_archive,
            archived=self._findings.archive,
            consistent=options.scans_consistently,
            max_suspects=options.max_suspects,
        )
        of = ceil(options.segments / options.sample)
        # At random, since fixed segments would never show the other items, however often a sample is taken.
        chosen = sorted(random.sample(range(of), options.segments))
        states = self._saved.begin(
            options.identity(
                parts.key_filter, is_archive=parts.is_archive, transform=parts.transform.view.digest
            ),
            # In microseconds, since the name of the record is this time: two commands may begin in the same second.
            began=parts.connection.clock.moment.isoformat(timespec="microseconds"),
            chosen=chosen,
        )
        if self._saved.has_resumed:
            parts.driver.note(
                f"Resuming from {self._saved.name}, whose first scan began at {_shown(self._saved.began)}."
            )
        self._saved.restore(self._findings, self._suspects)
        if options.keys_from is not None:
            _read_keys(options.keys_from, parts.tables[0].table, keys)
            self._comparing = KeyComparison(comparison, keys, threads=options.segments)
        else:
            self._comparing = Merge(comparison, states, of=of, save=self._saved.save)
        return self._comparing

    def _count(self, items: int) -> None:
        """Count items in the bar of the present step."""
        self._advance(items)

    def _compare_all(self, comparing: Merge | KeyComparison) -> None:
        while True:
            self._compare(comparing)
            self._note_early_stop(comparing)
            if self._suspects:
                self._settle()
            if comparing.is_done or self._is_stopped_early:
                return

    def _note_early_stop(self, comparing: Merge | KeyComparison) -> None:
        """Note if the comparison ends here although items remain, since a verdict needs no more of them."""
        self._is_stopped_early = not (comparing.is_done or self._parts.options.wants_all)
        if self._is_stopped_early:
            self._parts.driver.note(_STOPPED_EARLY.format(len(self._suspects)))

    def _compare(self, comparing: Merge | KeyComparison) -> None:
        """Compare until all is done, or there are too many suspected differences."""
        earlier = comparing.counts.compared
        about = comparing.about or round(
            sum(table.items for table in self._parts.tables) * self._parts.options.sample
        )
        with self._parts.driver.progress(f"comparing{self._at()}", about=about, earlier=earlier) as advance:
            self._advance = advance
            try:
                comparing.run()
            except (TaskError, KeyboardInterrupt):
                with suppress(TaskError):
                    self._save(comparing)
                raise
        self._save(comparing)

    def _save(self, comparing: Merge | KeyComparison) -> None:
        if isinstance(comparing, Merge):
            self._saved.save_all(comparing.segments)

    def _at(self) -> str:
        """Return the lower of the two read rates, which may explain a long duration."""
        rates = [r.rate.per_second for r in self._parts.readers if r.rate.per_second is not None]
        return f" at {min(rates):g} read capacity units per second" if rates else ""

    def _settle(self) -> None:
        """Confirm the suspected differences, and repair them if the options ask for it."""
        parts = self._parts
        if parts.unseen:
            parts.driver.note(_UNSEEN.format(why=parts.unseen))
        confirmation = parts.confirm(self._suspects)
        try:
            for difference, outcome in self._handled(confirmation.differences()):
                self._findings.add(difference, outcome)
                self._findings.confirmed(by_looks=confirmation.by_looks, lag=confirmation.lag)
                self._saved.decided(difference.key, self._findings)
        except (TaskError, KeyboardInterrupt):
            with suppress(TaskError):
                self._saved.save_decided(self._findings)
            raise
        self._findings.confirmed(by_looks=confirmation.by_looks, lag=confirmation.lag)
        self._suspects.clear()
        self._saved.settled(self._findings)

    def _handled(self, differences: Iterable[Difference]) -> Iterable[RepairResult]:
        parts, options = self._parts, self._parts.options
        if self._repair is None:
            return foretell(differences) if options.repair else leave(differences)
        grace = DEFAULT_GRACE if options.grace is None else options.grace
        return Repairs(
            self._repair.of_differences,
            parts.unequal,
            partial(parts.sleep, grace),
            threads=options.segments,
            progress=parts.driver.progress,
        )(differences, about=len(self._suspects))

    def _check_transform(self) -> None:
        """Read the function's transform again, after the last write. Raises TransformChangedError after a repair."""
        try:
            self._parts.transform.check_now()
        except TransformChangedError:
            if self._repair is not None:
                raise
            self._transform_changed = True

    def _refuse_recreated(self) -> None:
        """Raise TaskError if a table was recreated meanwhile: its items are not those that were compared."""
        now = describe_pair(self._parts.connection)
        refuse_recreated(self._parts.tables, now, hint=_begin_again(self._saved.name))

    def _ended(self, why: BaseException) -> TaskError:
        """Return the error with what is known so far, and show the differences that were confirmed."""
        result, kept = self.result, self._saved.name if self._saved.is_begun else None
        facts = result.document_so_far()
        if shown := result.shown():
            self._parts.driver.note(*shown.split("\n"))
        if isinstance(why, TaskError):
            return _failed(why, result, kept)
        where = f"; it resumes from {kept}" if kept else ""
        hint = f"run the same command again{where}."
        return StoppedError(f"interrupted; {result.so_far()}.", hint=hint, facts=facts)


def _failed(why: TaskError, result: Verified, kept: str | None) -> TaskError:
    """Return the error with what is known so far. `kept` is the state file that has the progress."""
    where = f"; {kept} keeps the progress" if kept else ""
    so_far = f"{why.fact.rstrip('.')}; {result.so_far()}{where}." if result.swept.compared else why.fact
    return TaskError(so_far, hint=why.hint, facts=result.document_so_far())


def _read_keys(file: KeysFile, table: Table, keys: KeySet) -> None:
    """Read the keys of a file. Raises TaskError if it has none: nothing would be compared, and all would be equal."""
    keys.add(file.read(table))
    if not keys:
        raise TaskError(
            f"{file.name} contains no keys.",
            hint="write one key per line, or omit --keys-from to compare all items.",
        )


def _shown(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"


def _begin_again(state: str | None) -> str:
    return f"remove {state}, and run the command again." if state else "run the command again."
