"""What the steps of a verification work with, and how they are put together from the command's options."""

import random
from dataclasses import dataclass
from functools import partial

from ddbreplica.driver import Driver, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.mapping.lag import lag_during
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Journal
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import Repair


@dataclass(frozen=True, slots=True)
class Parts:
    """The two tables, what is known of their mapping, and the program that runs the verification."""

    connection: Connection
    options: VerifyOptions
    driver: Driver
    patience: Patience
    preflight: Preflight
    tables: tuple[Described, Described]
    readers: tuple[TableReader, TableReader]

    @classmethod
    def between(
        cls,
        connection: Connection,
        tables: tuple[Described, Described],
        options: VerifyOptions,
        *,
        preflight: Preflight,
        driver: Driver,
        patience: Patience,
    ) -> "Parts":
        """Return the parts of a verification of two described tables."""
        source, replica = (_reader(table, options, patience) for table in tables)
        return cls(connection, options, driver, patience, preflight, tables, (source, replica))

    def confirmation(self, suspects: KeySet) -> Confirmation:
        """Return the confirmation of suspected differences."""
        clock, options, interrupt = self.connection.clock, self.options, self.patience.interrupt
        source, replica = self.readers
        rules = Rules(
            grace=options.grace,
            rounds=options.rounds,
            without_mapping=options.without_mapping,
            is_archive=self.preflight.is_archive,
            threads=options.segments,
        )
        return Confirmation(
            suspects=suspects,
            source=source,
            replica=replica,
            rules=rules,
            witness=StreamWitness.of(self.connection, interrupt),
            ask_lag=partial(lag_during, self.connection, interrupt),
            # The moments of looks are no secret.
            timer=Timer(clock.local, clock.ticks, interrupt.sleep, random.Random()),  # noqa: S311
            note=self.driver.note,
            progress=self.driver.progress,
        )

    def repair(self, journal: FileJournal | None, under_way: UnderWay) -> Repair | None:
        """Return what repairs keys, and opens each in the journal before its write; None if nothing is written."""
        if journal is None or not self.options.writes:
            return None
        reconciler = Reconciler.between(
            self.connection,
            journal=self._quarantining(journal),
            patience=self.patience,
            is_archive=self.preflight.is_archive,
            # The scan and the repair share the source's rate, since both read it.
            rates=Rates(Rate(self.options.rate, sleep=self.patience.interrupt.sleep), self.readers[0].rate),
            under_way=under_way,
        )
        return Repair(journal, reconciler.reconcile)

    def _quarantining(self, journal: Journal) -> Journal:
        """Return a journal that also writes in-doubt keys to the quarantine bucket, so that others find them."""
        mapping = self.preflight.mapping
        if mapping is None or not mapping.quarantine:
            return journal
        source = self.tables[0].table
        return QuarantiningJournal.of(journal, self.connection, mapping.quarantine, source, command=VERIFY)


def _reader(table: Described, options: VerifyOptions, patience: Patience) -> TableReader:
    rate = table.read_rate(options.read_rate)
    return TableReader.of(table.side, table.table, patience, threads=options.segments, read_rate=rate)
