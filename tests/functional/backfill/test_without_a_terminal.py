"""The engine on moto, driven as a program would: without the command line, its options and its terminal."""

from dataclasses import replace
from pathlib import Path

from ddbreplica.backfill import job as backfill
from ddbreplica.driver import SILENT
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.transform.deployed import Given
from ddbreplica.verify import job as verify
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.result.verdict import EQUAL, Verified
from tests.support.backfilled import WANTED
from tests.support.cli import REPLICA, SOURCE, Tables
from tests.support.memory_state import MemoryLines

LOCATION = Location(
    source=SOURCE,
    replica=REPLICA,
    stack_name=None,
    region="us-east-1",
    replica_region=None,
    profile=None,
    replica_profile=None,
    endpoint_url=None,
)


def test_a_program_copies_and_compares(tables: Tables, tmp_path: Path) -> None:
    for number in range(150):
        tables.put(SOURCE, f"item{number}", n={"N": "1.10"})
    connection, lines = Connection(LOCATION), MemoryLines()
    journal = FileJournal(lines, command=BACKFILL, clock=connection.clock)
    wanted = replace(WANTED, segments=2, without_mapping=True, transform=Given(None))
    copying = backfill.prepare(connection, wanted, SILENT)
    done = copying.go(journal, Undecided(tmp_path / "review", note=SILENT.note))

    assert (done.items, done.left) == (150, {})
    assert journal.open_keys() == ()
    assert tables.items(REPLICA) == tables.items(SOURCE)

    tables.put(REPLICA, "extra")
    results: list[Verified] = []
    to_verify = VerifyOptions(
        segments=2,
        eventually_consistent=False,
        sample=1,
        keys_from=None,
        grace=0,
        rounds=2,
        read_rate=None,
        limit=10,
        report=None,
        no_values=False,
        repair=False,
        dry_run=False,
        rate=None,
        without_mapping=True,
        archive=False,
    )
    verify.verified(connection, to_verify, results.append, SILENT, None)
    tables.delete(REPLICA, "extra")
    verify.verified(connection, to_verify, results.append, SILENT, None)

    assert [result.verdict == EQUAL for result in results] == [False, True]
    assert list(tmp_path.iterdir()) == []
