"""The commands on moto with an archive, to which TTL deletes are not replicated."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.verify.compare.checkpoint import SegmentState
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.merge import Merge
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.verification import Verification
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, refusal, run
from tests.support.kept_records import ON_FAILURE, QUARANTINE, KeptRecords, answer_mapping
from tests.support.records import delete, put

UNDECIDED = "the item no longer exists in the source: it was deleted or has expired"


def ran(*args: str, exit_code: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


LOOKS = 3 * (2 + 8) + 2
"""The reads of a suspected difference before its repair: two looks, a watch of eight looks, and the attributes."""


def verify(*args: str, exit_code: int = 0) -> Any:
    return ran("verify", "--grace", "0", *args, exit_code=exit_code)


def repair(*args: str, exit_code: int = 0) -> Any:
    return verify("--repair", *args, exit_code=exit_code)


def before(aws: Misbehaviour, operation: str, call: int, do: Callable[[], None]) -> None:
    """Call a function before the request with this number is sent."""
    calls = iter(range(1, 10_000))

    def hook(**_: Any) -> None:
        if next(calls) == call:
            do()

    aws.on(f"before-send.dynamodb.{operation}", hook)


class TestVerify:
    def test_an_expired_item_is_archived_and_not_a_difference(self, archive: Tables) -> None:
        result = run("verify")

        assert result.exit_code == 0
        shown = lines(result.stdout)
        assert shown[2:9] == [
            "compared       everything, as an archive",
            "source items              1",
            "replica items             2",
            "missing                   0",
            "different                 0",
            "extra                     0",
            "inconclusive              0",
        ]
        assert "archived                  1" in shown
        assert shown[-1] == "equal (everything, as an archive)"

    def test_the_document_contains_the_key_of_an_archived_item(self, archive: Tables) -> None:
        document = verify()

        assert (document["verdict"], document["extra"], document["archived"]) == ("equal", 0, 1)
        assert document["archived_items"] == [{"PK": {"S": "expired"}}]
        assert document["differences"] == []

    def test_limit_applies_to_archived_items_and_the_report_has_all(self, archive: Tables) -> None:
        for number in range(20):
            archive.put(REPLICA, f"expired{number}")

        document = verify("--limit", "3", "--report", "report.jsonl")

        assert (document["archived"], len(document["archived_items"])) == (21, 3)
        reported = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
        assert [line["finding"] for line in reported] == ["archived"] * 21
        assert verify("--keys-from", "report.jsonl")["archived"] == 21

    def test_missing_and_different_items_of_an_archive_are_differences(self, archive: Tables) -> None:
        archive.put(SOURCE, "missing")
        archive.put_both("different", n={"N": "1"})
        archive.put(SOURCE, "different", n={"N": "2"})

        document = verify(exit_code=1)

        assert document["verdict"] == "not equal"
        assert (document["missing"], document["different"], document["archived"]) == (1, 1, 1)

    def test_without_permission_to_read_the_mapping_the_option_is_needed(
        self, archive: Tables, aws: Misbehaviour
    ) -> None:
        aws.on("before-call.lambda.ListEventSourceMappings", lambda **_: refusal("AccessDeniedException"))

        assert "unless --archive is given" in run("verify", "--grace", "0").stderr
        assert verify(exit_code=1)["extra"] == 1
        assert verify("--archive")["archived"] == 1


class TestRepair:
    def test_differences_are_repaired_and_expired_items_stay(self, archive: Tables) -> None:
        archive.put(SOURCE, "missing")
        archive.put(SOURCE, "same", n={"N": "2"})

        document = repair()

        assert (document["verdict"], document["repaired"], document["archived"]) == ("repaired", 2, 1)
        assert archive.items(REPLICA) == {
            **archive.items(SOURCE),
            "expired": {"PK": {"S": "expired"}, "n": {"N": "1"}},
        }

    def test_a_dry_run_does_not_report_expired_items(self, archive: Tables) -> None:
        assert repair("--dry-run")["verdict"] == "equal"

    @pytest.mark.parametrize("call", ["the read before it", "the read after it"])
    def test_an_item_that_disappears_during_the_repair_needs_review(
        self, archive: Tables, aws: Misbehaviour, call: str
    ) -> None:
        archive.put(SOURCE, "a", n={"N": "2"})
        archive.put(REPLICA, "a", n={"N": "1"})
        looked = LOOKS + 1 if call == "the read before it" else LOOKS + 2
        before(aws, "BatchGetItem", looked, lambda: archive.delete(SOURCE, "a"))

        result = run("verify", "--repair", "--grace", "0", "--segments", "1", "--json")

        assert result.exit_code == 1
        document = json.loads(result.stdout)
        assert document["verdict"] == "not equal"
        assert lines(result.stderr)[0] == (
            "Items that need review, since the source no longer has them (deleted or expired): 1. No later run reports"
            " them; --report lists all of them. Try: review each one; if it was deleted at the source, delete it from"
            " the replica too."
        )
        assert [found["repair"] for found in document["differences"]] == [f"undecided: {UNDECIDED}"]
        held = archive.items(REPLICA)["a"]["n"]
        assert held == {"N": "1" if call == "the read before it" else "2"}

    def test_an_item_that_expires_after_its_repair_is_repaired(
        self, archive: Tables, aws: Misbehaviour
    ) -> None:
        archive.put(SOURCE, "a", n={"N": "2"})
        before(aws, "BatchGetItem", 1 + LOOKS + 3, lambda: archive.delete(SOURCE, "a"))

        assert repair("--segments", "1")["verdict"] == "repaired"

    def test_without_mapping_nothing_is_deleted_if_the_mapping_is_an_archive(self, archive: Tables) -> None:
        document = repair("--without-mapping", "--transform", "none")

        assert (document["verdict"], document["archived"]) == ("equal", 1)
        assert "expired" in archive.items(REPLICA)

    def test_without_a_readable_mapping_the_option_is_needed(
        self, archive: Tables, aws: Misbehaviour
    ) -> None:
        answer_mapping(archive, aws, mapped=False)

        repair("--without-mapping", "--transform", "none", "--archive")
        assert "expired" in archive.items(REPLICA)

        repair("--without-mapping", "--transform", "none")
        assert "expired" not in archive.items(REPLICA)


class TestBackfill:
    def test_expired_items_stay_and_existing_items_are_copied(self, archive: Tables) -> None:
        archive.put(SOURCE, "same", n={"N": "2"})
        archive.put(SOURCE, "new")

        document = ran("backfill", "--without-mapping", "--transform", "none")

        assert (document["left"], document["undecided"], document["undecided_file"]) == (0, 0, None)
        assert archive.items(REPLICA) == {
            **archive.items(SOURCE),
            "expired": {"PK": {"S": "expired"}, "n": {"N": "1"}},
        }
        assert list(Path().iterdir()) == []

    def test_items_that_need_review_are_listed_until_the_file_is_removed(
        self, archive: Tables, aws: Misbehaviour
    ) -> None:
        archive.put(SOURCE, "a")
        before(aws, "Scan", 2, lambda: archive.delete(SOURCE, "a"))
        file = "logfile-logfile_replica.backfill.undecided"

        result = run("backfill", "--segments", "1", "--archive", "--without-mapping", "--transform", "none")

        assert result.exit_code == 1
        assert lines(result.stderr) == [
            f"Error: 1 item no longer exists in the source (deleted or expired); see {file}.",
            (
                f"Try: review the items in {file}, delete those from the replica that were deleted at the source,"
                " and remove the file."
            ),
        ]
        assert Path(file).read_text() == '{"PK": {"S": "a"}}\n'
        assert [path.name for path in Path().iterdir()] == [file]
        assert verify("--keys-from", file)["archived"] == 1

        document = ran("backfill", "--archive", "--without-mapping", "--transform", "none", exit_code=1)
        assert (document["left"], document["undecided"], document["undecided_file"]) == (0, 1, file)

        Path(file).unlink()
        assert ran("backfill", "--archive", "--without-mapping", "--transform", "none")["undecided"] == 0

    def test_items_not_copied_and_items_that_need_review_are_both_reported(
        self, archive: Tables, aws: Misbehaviour
    ) -> None:
        archive.put(SOURCE, "a")
        Path("state.undecided").write_text('{"PK": {"S": "b"}}\n')
        aws.refuse("BatchWriteItem", "ValidationException")
        aws.refuse("PutItem", "ValidationException")

        result = run("backfill", "--without-mapping", "--transform", "none", "--state", "state")

        assert result.exit_code == 1
        fact, hint = lines(result.stderr)[-2:]
        assert fact.startswith(
            "Error: 2 items were not copied. 1 item no longer exists in the source (deleted or expired); "
        )
        assert "run the same command again to copy them; review the items in state.undecided, " in hint

    def test_an_item_that_cannot_be_listed_stays_open(self, archive: Tables, aws: Misbehaviour) -> None:
        archive.put(SOURCE, "a")
        before(aws, "Scan", 2, lambda: archive.delete(SOURCE, "a"))
        Path("state.undecided").mkdir()

        result = run(
            "backfill", "--without-mapping", "--transform", "none", "--segments", "1", "--state", "state"
        )

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith("Error: state.undecided cannot be written: Is a directory;")
        Path("state.undecided").rmdir()
        assert (
            ran(
                "backfill",
                "--without-mapping",
                "--transform",
                "none",
                "--segments",
                "1",
                "--state",
                "state",
                exit_code=1,
            )["undecided"]
            == 1
        )


class TestRedrive:
    def test_a_batch_with_one_such_item_stays_whole_and_the_others_are_repaired(
        self, archive: Tables, kept_records: KeptRecords
    ) -> None:
        archive.put(SOURCE, "there", n={"N": "2"})
        name = kept_records.discard(put(1, "there"), delete(2, "deleted"))

        document = ran("redrive", exit_code=1)

        assert (document["undecided"], document["healed"]) == (1, 0)
        assert document["left"][0]["keys"] == [{"PK": {"S": "deleted"}}]
        assert kept_records.names(ON_FAILURE) == [name]
        assert archive.items(REPLICA)["there"]["n"] == {"N": "2"}

    def test_without_a_mapping_an_option_says_that_the_replica_is_an_archive(
        self, archive: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        answer_mapping(archive, aws, mapped=False)
        kept_records.quarantine(put(1, "expired"))
        named = ("--without-mapping", "--transform", "none", "--quarantine-bucket", QUARANTINE)

        assert ran("redrive", *named, "--archive", exit_code=1)["undecided"] == 1
        assert "expired" in archive.items(REPLICA)


@pytest.mark.hazard(number=14)
def test_no_command_deletes_from_an_archive(archive: Tables, kept_records: KeptRecords) -> None:
    kept_records.quarantine(put(1, "expired"))
    kept_records.discard(put(2, "expired"))

    for command in (
        "verify --repair",
        "verify --repair --without-mapping",
        "backfill --without-mapping",
        "redrive",
    ):
        run(*command.split())

    assert set(archive.items(REPLICA)) == {"same", "expired"}


@pytest.mark.hazard(number=14)
def test_an_item_that_only_an_archive_has_is_not_a_difference(archive: Tables) -> None:
    assert verify()["verdict"] == "equal"


@pytest.mark.hazard(number=14)
def test_many_expired_items_do_not_end_the_comparison(archive: Tables) -> None:
    for number in range(300):
        archive.put(REPLICA, f"expired{number}")
    archived: list[Any] = []
    readers = archive.reader(SOURCE), archive.reader(REPLICA)

    with closing(KeySet()) as suspects:
        comparison = Comparison(
            readers,
            suspects,
            advance=lambda _: None,
            in_step=InStep(lambda *_: None),
            max_suspects=5,
            is_archive=True,
            archived=archived.extend,
        )
        merge = Merge(comparison, [SegmentState(0), SegmentState(1)], of=2)
        merge.run()

        assert (len(suspects), len(archived), merge.counts.archived, merge.is_done) == (0, 301, 301, True)


@pytest.mark.hazard(number=14)
def test_an_item_that_expires_before_it_is_looked_at_is_archived(
    archive: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(SOURCE, "a", n={"N": "2"})
    archive.put(REPLICA, "a", n={"N": "1"})
    monkeypatch.setattr(
        "ddbreplica.verify.verification.Verification._settle", expiring(archive, Verification._settle)
    )

    document = verify()

    assert (document["different"], document["archived"]) == (0, 2)


def expiring(archive: Tables, settle: Callable[..., None]) -> Callable[..., None]:
    """Return the step that confirms differences, before which an item expires."""

    def expire(*args: Any) -> None:
        archive.delete(SOURCE, "a")
        settle(*args)

    return expire


@pytest.mark.hazard(number=14)
def test_an_item_that_is_gone_is_undecided_and_its_object_stays(
    archive: Tables, kept_records: KeptRecords
) -> None:
    archive.put(SOURCE, "there", n={"N": "2"})
    gone = kept_records.quarantine(put(1, "expired"))
    there = kept_records.quarantine(put(2, "there"))

    result = run("redrive", "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["left"] == [
        {
            "outcome": "undecided",
            "object": f"s3://{QUARANTINE}/{gone}",
            "reason": UNDECIDED,
            "keys": [{"PK": {"S": "expired"}}],
            "more_keys": 0,
        }
    ]
    assert "Try: review the undecided items; if an item was deleted at the source, " in result.stderr
    assert sorted(kept_records.names(QUARANTINE)) == sorted([gone, f"done/{there}"])
    assert archive.items(REPLICA)["expired"]["n"] == {"N": "1"}
    assert archive.items(REPLICA)["there"]["n"] == {"N": "2"}


class TestGlobalTable:
    """An archive loses items that expire in another Region, so the commands warn about it."""

    WARNING = (
        "the source logfile is a global table with replicas in eu-west-1, us-west-2, and the replica is an archive: an"
        " item that expires in another Region is deleted from the archive too, because its replicated delete"
        " looks like a delete by a user"
    )

    @pytest.fixture(autouse=True)
    def _global(self, archive: Tables, aws: Misbehaviour) -> None:
        self.aws = aws
        self.tables = archive

        def add_replicas(parsed: Any, **_: Any) -> None:
            if parsed["Table"]["TableName"] == SOURCE:
                regions = ("us-east-1", "us-west-2", "eu-west-1")
                parsed["Table"]["Replicas"] = [{"RegionName": region} for region in regions]

        aws.on("after-call.dynamodb.DescribeTable", add_replicas)

    def test_verify_and_backfill_warn_before_the_first_write(self) -> None:
        for args in (["verify"], ["backfill", "--dry-run"], ["backfill"]):
            result = run(*args)

            assert result.exit_code == 0
            assert lines(result.stderr)[0] == f"Warning: {self.WARNING}."

    def test_status_shows_a_note(self) -> None:
        document = json.loads(run("status", "--json").stdout)

        (finding,) = [found for found in document["findings"] if "global table" in found["fact"]]
        assert finding == {
            "severity": "note",
            "fact": self.WARNING,
            "try": "do not rely on the archive for items that expire in another Region",
        }

    def test_a_replica_that_replicates_ttl_deletes_is_not_an_archive(self) -> None:
        answer_mapping(self.tables, self.aws)

        for args in (["verify", "--grace", "0"], ["backfill", "--dry-run"], ["status"]):
            result = run(*args)
            assert "global table" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    "command", [["verify", "--repair", "--grace", "0"], ["backfill"], ["redrive"]], ids=lambda one: one[0]
)
def test_a_function_without_the_tag_that_may_keep_an_archive_causes_a_warning(
    archive: Tables, aws: Misbehaviour, command: list[str]
) -> None:
    aws.on(
        "before-call.lambda.ListTags", lambda **_: (SimpleNamespace(status_code=200), {"Tags": {"team": "x"}})
    )
    buckets = (
        ["--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE]
        if command == ["redrive"]
        else []
    )
    warning = "Warning: functions without the tag ddbreplica read the source's stream"

    warned = run(*command, *buckets, "--without-mapping", "--transform", "none", "--dry-run")
    with_option = run(
        *command, *buckets, "--without-mapping", "--transform", "none", "--dry-run", "--archive"
    )

    assert f"{warning}: arn:" in warned.stderr
    assert "If one of them keeps the replica as an archive, add --archive." in warned.stderr
    assert warning not in with_option.stderr
