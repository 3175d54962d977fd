"""`ddbreplica redrive --find` and `--purge-done` on moto: copies of an item are listed, and deleted for good."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ddbreplica.redrive import bounded_list, copies
from ddbreplica.redrive import purge as purging
from ddbreplica.redrive.objects import PIECE
from ddbreplica_cli.app import main
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, press_ctrl_c, refusal, run
from tests.support.kept_records import (
    CREATED,
    ON_FAILURE,
    QUARANTINE,
    KeptRecords,
    answer_mapping,
    recreate_source,
)
from tests.support.kill_at import KilledError, kill_at
from tests.support.permissions import recorded
from tests.support.records import put, record

KEY = json.dumps({"PK": {"S": "a"}})


def find(*args: str, exit_code: int = 1) -> Any:
    """Search for the item "a" and return the JSON document."""
    result = run("redrive", "--find", KEY, "--json", *args)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def purge(*args: str, exit_code: int = 0) -> Any:
    """Purge and return the JSON document."""
    result = run("redrive", "--purge-done", "--json", *args)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def redrive() -> None:
    result = run("redrive")
    assert result.exit_code == 0, result.output


def found(document: Any) -> list[tuple[str, bool]]:
    """Return the object of each copy, and whether it is present or an old version."""
    return [(each["object"], each["present"]) for each in document["found"]]


class TestFinding:
    def test_every_copy_is_found_in_both_buckets(self, kept_records: KeptRecords) -> None:
        moved, batch = kept_records.quarantine(put(1, "a")), kept_records.discard(put(2, "b"), put(3, "a"))
        redrive()
        waiting = kept_records.quarantine(put(4, "a"))
        kept_records.quarantine(put(5, "b"))

        document = find()

        assert found(document) == [
            (f"s3://{QUARANTINE}/{moved}", False),
            (f"s3://{QUARANTINE}/{waiting}", True),
            (f"s3://{QUARANTINE}/done/{moved}", True),
            (f"s3://{ON_FAILURE}/{batch}", False),
            (f"s3://{ON_FAILURE}/done/{batch}", True),
        ]
        assert (document["objects"], document["unread"], document["old_versions_unseen"]) == (6, [], {})

    def test_it_changes_nothing(self, tables: Tables, kept_records: KeptRecords) -> None:
        tables.put(SOURCE, "a")
        kept_records.quarantine(put(1, "a"))
        before = kept_records.versions(QUARANTINE)

        find()

        assert kept_records.versions(QUARANTINE) == before
        assert tables.items(REPLICA) == {}
        assert list(Path().iterdir()) == []

    def test_nothing_is_found_in_empty_buckets(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "b"))

        assert find(exit_code=0)["found"] == []

    def test_the_text_lists_the_copies(self, kept_records: KeptRecords) -> None:
        name = kept_records.quarantine(put(1, "a"))
        redrive()
        (old, *_) = kept_records.client.list_object_versions(Bucket=QUARANTINE, Prefix=name)["Versions"]

        result = run("redrive", "--find", KEY)

        assert lines(result.stdout) == [
            "objects                 2",
            "found                   2",
            "unread                  0",
            f"found        s3://{QUARANTINE}/{name}  (old version {old['VersionId']})",
            f"found        s3://{QUARANTINE}/done/{name}",
        ]

    def test_of_any_number_the_first_are_listed(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounded_list, "LISTED", 2)
        for number in range(3):
            kept_records.quarantine(put(number, "a"))
            kept_records.put(QUARANTINE, f"quarantine/{REPLICA}/{number}", b"[")

        document = find()

        assert [len(document["found"]), document["more_found"]] == [2, 1]
        assert [len(document["unread"]), document["more_unread"]] == [2, 1]

    def test_several_keys_at_a_time(self, kept_records: KeptRecords) -> None:
        names = [kept_records.quarantine(put(number, key)) for number, key in enumerate("abc")]

        document = find("--find", json.dumps({"PK": {"S": "c"}}))

        assert [each["object"].rpartition("/")[2] for each in document["found"]] == [
            names[0].rpartition("/")[2],
            names[2].rpartition("/")[2],
        ]

    def test_a_record_of_an_earlier_table_is_a_copy(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"))
        recreate_source(CREATED.replace(year=2030))

        assert len(find()["found"]) == 1

    def test_what_the_filter_excludes_is_a_copy(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        answer_mapping(tables, aws, patterns=[{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}])

        assert len(find()["found"]) == 1

    def test_a_batch_of_another_function_is_a_copy(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tests.support.on_failure.FUNCTION_ARN", "arn:aws:lambda:us-east-1:1:function:x")
        kept_records.discard(put(1, "a"))

        assert len(find()["found"]) == 1

    def test_a_record_of_another_table_is_not_a_copy(self, kept_records: KeptRecords) -> None:
        arn = "arn:aws:dynamodb:us-east-1:123456789012:table/other/stream/2026-11-01T12:00:00.000"
        kept_records.quarantine({**put(1, "a"), "eventSourceARN": arn})

        assert find(exit_code=0)["objects"] == 1

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"[", "it is not JSON"),
            (json.dumps({"schema": 9}).encode(), "it is not a quarantined record of schema 1"),
            (
                json.dumps({"schema": 1, "record": record(1, "INSERT", {})}).encode(),
                "no key can be read from 1 of its records",
            ),
        ],
    )
    def test_an_object_that_cannot_be_read_may_be_a_copy(
        self, kept_records: KeptRecords, body: bytes, reason: str
    ) -> None:
        kept_records.put(QUARANTINE, f"quarantine/{REPLICA}/x.json", body)

        (unread,) = find()["unread"]

        assert unread["reason"] == reason

    def test_an_object_that_is_too_large_is_not_read(
        self, kept_records: KeptRecords, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copies, "MAX_OBJECT", 10)
        kept_records.quarantine(put(1, "a"))
        aws.on("before-call.s3.GetObject", lambda **_: refusal("AccessDenied", "why"))

        (unread,) = find()["unread"]

        assert unread["reason"] == "it is too large for a quarantined record or a discarded batch"

    @pytest.mark.parametrize(("key", "exit_code"), [("a", 1), ("b", 3)])
    def test_without_permission_to_list_versions_present_objects_are_searched(
        self, kept_records: KeptRecords, aws: Misbehaviour, key: str, exit_code: int
    ) -> None:
        kept_records.quarantine(put(1, key))
        aws.on("before-call.s3.ListObjectVersions", lambda **_: refusal("AccessDenied", "why"))

        result = run("redrive", "--find", KEY)

        assert result.exit_code == exit_code
        assert lines(result.stderr) == [
            f"Note: old versions in the bucket {bucket} were not searched: the versions in the bucket {bucket}"
            " cannot be listed: AccessDenied: why"
            for bucket in (QUARANTINE, ON_FAILURE)
        ]

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (
                "{",
                "invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            ),
            ('{"SK": {"S": "a"}}', "these are not the table's key attributes"),
            ('{"PK": {"N": "1"}}', "these are not the table's key attributes"),
        ],
    )
    def test_an_invalid_key_is_refused(self, kept_records: KeptRecords, text: str, why: str) -> None:
        result = run("redrive", "--find", text)

        assert result.exit_code == 2
        error, hint = lines(result.stderr)
        assert error.endswith(f": not a primary key of this table: {why}.")
        assert hint == 'Try: give the key in DynamoDB JSON, as \'{"PK": {"S": "…"}}\'.'

    def test_records_of_an_earlier_replica_have_its_name_as_prefix(self, kept_records: KeptRecords) -> None:
        name = kept_records.quarantine(put(1, "a"), replica="earlier")
        named = ("--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE)

        assert find(*named, exit_code=0)["objects"] == 0
        assert found(find("--replica", "earlier", *named)) == [(f"s3://{QUARANTINE}/{name}", True)]

    def test_named_buckets_need_no_mapping(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        answer_mapping(tables, aws, mapped=False)

        assert len(find("--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE)["found"]) == 1
        assert "name the bucket" in find(exit_code=2)["try"]


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto cannot list the versions of a bucket while another thread deletes versions."""
    monkeypatch.setattr(purging, "WORKERS", 1)


@pytest.mark.usefixtures("one_at_a_time")
class TestPurging:
    def test_moved_objects_are_deleted_completely_and_the_others_stay(
        self, kept_records: KeptRecords
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        kept_records.discard(put(2, "b"))
        redrive()
        waiting, batch = kept_records.quarantine(put(3, "a")), kept_records.discard(put(4, "a"))

        document = purge("--yes")

        # in done/, under its first name, and the mark that it was deleted there
        assert (document["purged"], document["versions"], document["left"]) == (2, 6, [])
        assert kept_records.versions(QUARANTINE) == [waiting]
        assert kept_records.versions(ON_FAILURE) == [batch]

    def test_only_objects_that_hold_the_key(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"))
        other = kept_records.quarantine(put(2, "b"))
        redrive()

        assert purge("--find", KEY, "--yes")["purged"] == 1

        assert set(kept_records.versions(QUARANTINE)) == {other, f"done/{other}"}
        assert find(exit_code=0)["found"] == []

    def test_with_a_key_an_object_that_cannot_be_read_is_left(self, kept_records: KeptRecords) -> None:
        name = f"done/quarantine/{REPLICA}/x.json"
        kept_records.put(QUARANTINE, name, b"[")

        document = purge("--find", KEY, "--yes", exit_code=1)

        assert (document["purged"], [each["reason"] for each in document["left"]]) == (0, ["it is not JSON"])
        assert kept_records.versions(QUARANTINE) == [name]

    def test_an_object_that_has_the_first_name_again_is_left(self, kept_records: KeptRecords) -> None:
        name = kept_records.quarantine(put(1, "a"))
        redrive()
        kept_records.put(QUARANTINE, name, b"again")

        assert purge("--yes")["versions"] == 1

        assert kept_records.body(QUARANTINE, name) == b"again"
        assert kept_records.versions(QUARANTINE) == [name] * 3

    def test_an_object_that_was_overwritten_is_left_and_reported(self, kept_records: KeptRecords) -> None:
        name = kept_records.discard(put(1, "a"))
        body = kept_records.body(ON_FAILURE, name)
        kept_records.put(ON_FAILURE, name, body.replace(b"RetryAttemptsExhausted", b"RecordAgeExceeded"))
        kept_records.make_older(ON_FAILURE, name, 3600)
        redrive()

        result = run("redrive", "--purge-done", "--yes")

        assert result.exit_code == 1
        assert "it was overwritten before it was moved" in result.stdout
        assert kept_records.versions(ON_FAILURE) == [*[name] * 3, f"done/{name}"]

    def test_a_bucket_without_versions(self, kept_records: KeptRecords) -> None:
        client = kept_records.client
        client.create_bucket(Bucket="mine")
        name = f"done/quarantine/{REPLICA}/x.json"
        kept_records.put("mine", name, b"{}")

        assert purge("--yes", "--quarantine-bucket", "mine")["purged"] == 1

        assert kept_records.versions("mine") == []

    def test_a_dry_run_counts(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"))
        redrive()
        before = kept_records.versions(QUARANTINE)

        document = purge("--dry-run")

        assert (document["purged"], document["versions"], document["dry_run"]) == (1, 3, True)
        assert "Dry run: nothing was deleted." in run("redrive", "--purge-done", "--dry-run").stderr
        assert kept_records.versions(QUARANTINE) == before

    @pytest.mark.parametrize("options", [(), ("--json",)])
    def test_without_a_terminal_yes_is_required(
        self, kept_records: KeptRecords, options: tuple[str, ...]
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        redrive()

        result = run("redrive", "--purge-done", *options)

        assert result.exit_code == 2
        assert "Try: add --yes; --dry-run shows how many objects would be deleted." in result.stderr
        assert len(kept_records.versions(QUARANTINE)) == 3

    def test_without_permission_to_list_versions_nothing_is_deleted(
        self, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        redrive()
        aws.on("before-call.s3.ListObjectVersions", lambda **_: refusal("AccessDenied", "why"))

        assert "cannot be listed" in purge("--yes", exit_code=2)["error"]

    def test_ctrl_c_leaves_the_other_objects(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        for number in range(PIECE + 5):
            kept_records.quarantine(put(number, "a"))
        redrive()
        pressed = iter([press_ctrl_c])
        aws.on("before-call.s3.DeleteObject", lambda **_: next(pressed, lambda: None)())

        document = purge("--yes", exit_code=130)

        assert document["purged"] == PIECE
        assert len(kept_records.names(QUARANTINE)) == 5

    def test_killed_at_any_call_the_next_run_ends_it(
        self, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kills = 0
        while True:
            kept_records.quarantine(put(kills, "a"))
            redrive()
            is_killed = kill_at(aws, kills)
            with suppress(KilledError):
                run("redrive", "--purge-done", "--yes")
            if not is_killed():
                break
            kills += 1
            purge("--yes")
            assert kept_records.versions(QUARANTINE) == []
        assert kills > 6


class TestAsking:
    """The confirmation on a terminal."""

    @pytest.fixture(autouse=True)
    def _on_a_terminal(self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
        kept_records.quarantine(put(1, "a"))
        redrive()

    def purge(self, answer: str) -> Result:
        with recorded():
            return CliRunner().invoke(main, ["redrive", "--purge-done"], input=answer)

    def test_yes(self, kept_records: KeptRecords) -> None:
        result = self.purge("y\n")

        assert result.exit_code == 0
        assert (
            f"Delete 1 object (3 versions) in s3://{QUARANTINE}/done/quarantine/{REPLICA}/ and"
            f" s3://{ON_FAILURE}/done/aws/lambda/ for good? [y/N]:"
        ) in result.stderr
        assert kept_records.versions(QUARANTINE) == []

    @pytest.mark.parametrize(("answer", "exit_code"), [("n\n", 2), ("\n", 2), ("", 130)])
    def test_no(self, kept_records: KeptRecords, answer: str, exit_code: int) -> None:
        result = self.purge(answer)

        assert result.exit_code == exit_code
        assert "nothing was deleted." in result.stderr
        assert len(kept_records.versions(QUARANTINE)) == 3


class TestOptions:
    @pytest.mark.parametrize(
        "args",
        [
            ("--find", KEY, "--limit", "1"),
            ("--purge-done", "--older-than", "1h"),
            ("--purge-done", "--state", "x"),
            ("--find", KEY, "--archive"),
            ("--find", KEY, "--without-mapping", "--transform", "none"),
            ("--find", KEY, "--rate", "1"),
            ("--find", KEY, "--read-rate", "1"),
        ],
    )
    def test_options_of_a_redrive_are_refused(self, args: tuple[str, ...]) -> None:
        result = run("redrive", *args)

        assert result.exit_code == 2
        assert "cannot be used with --find or --purge-done." in result.stderr

    def test_yes_requires_purge_done(self) -> None:
        result = run("redrive", "--yes")

        assert result.exit_code == 2
        assert "--yes requires --purge-done." in result.stderr
