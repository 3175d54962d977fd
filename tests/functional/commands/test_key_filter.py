"""The commands on moto, if the mapping has a filter that excludes keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.account import UUID, answer_lambda, mapping
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, refusal, run
from tests.support.kept_records import ON_FAILURE, QUARANTINE, TENANT, KeptRecords, answer_mapping
from tests.support.records import put

ON_IMAGES = {"dynamodb": {"NewImage": {"tenant": {"S": ["t1"]}}}}
SHOWN = '{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "t1#"}]}}}}'


def ran(*args: str, exit_code: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == exit_code
    return json.loads(result.stdout)


class TestVerify:
    def test_excluded_items_are_counted_and_not_compared(self, filtered: Tables) -> None:
        for number in range(150):
            filtered.put_both(f"t1#{number}")
            filtered.put(SOURCE, f"t2#{number}")
        filtered.put(REPLICA, "t3#from before the filter")

        result = run("verify")

        assert result.exit_code == 0
        shown = lines(result.stdout)
        assert shown[2:5] == [
            "compared       everything within the filter",
            "source items            150",
            "replica items           150",
        ]
        assert shown[9:11] == ["source excluded         150", "replica excluded          1"]
        assert shown[-1] == "equal (everything within the filter)"

    def test_differences_within_the_filter_are_found(self, filtered: Tables) -> None:
        filtered.put(SOURCE, "t1#missing")
        filtered.put(SOURCE, "t2#outside")
        filtered.put(REPLICA, "t1#extra")

        document = ran("verify", "--grace", "0", exit_code=1)

        assert (document["missing"], document["extra"], document["source_outside"]) == (1, 1, 1)

    def test_the_filter_applies_to_a_file_of_keys(self, filtered: Tables, tmp_path: Path) -> None:
        filtered.put_both("t1#a")
        filtered.put(SOURCE, "t2#a")
        filtered.put(REPLICA, "t2#b")
        names = [json.dumps({"PK": {"S": name}}) for name in ("t1#a", "t2#a", "t2#b")]
        (tmp_path / "keys").write_text("\n".join(names))

        document = ran("verify", "--keys-from", "keys")

        assert document["verdict"] == "equal"
        assert document["looked_at"] == "the keys of keys within the filter"
        assert (document["source_items"], document["source_outside"]) == (1, 1)
        assert (document["replica_items"], document["replica_outside"]) == (1, 1)

    def test_without_the_mapping_all_keys_are_compared(self, filtered: Tables) -> None:
        filtered.put(SOURCE, "t2#a")

        document = ran("verify", "--grace", "0", "--without-mapping", "--transform", "none", exit_code=1)

        assert (document["looked_at"], document["missing"]) == ("everything", 1)

    def test_a_mapping_that_cannot_be_read_is_noted_if_something_differs(
        self, filtered: Tables, aws: Misbehaviour
    ) -> None:
        aws.on("before-call.lambda.ListEventSourceMappings", lambda **_: refusal("AccessDeniedException"))
        filtered.put_both("t1#a")
        assert run("verify", "--transform", "none").stderr == ""
        filtered.put(SOURCE, "t2#a")

        result = run("verify", "--grace", "0", "--transform", "none")

        assert result.exit_code == 1
        assert lines(result.stderr)[0] == (
            "The event source mapping cannot be read (the event source mappings cannot be listed:"
            " AccessDeniedException: why). Its filter is ignored, and items that only the replica has are reported as"
            " extra, unless --archive is given."
        )


class TestBackfill:
    def test_it_does_not_resume_with_another_filter(
        self, filtered: Tables, aws: Misbehaviour, kept_records: KeptRecords
    ) -> None:
        filtered.put(SOURCE, "t1#a")
        aws.refuse("BatchWriteItem", "AccessDeniedException")
        assert run("backfill").exit_code == 2
        answer_mapping(filtered, aws)

        result = run("backfill")

        assert result.exit_code == 2
        assert (
            f"is the state file of a backfill with other tables or options: its filter is"
            f" {SHOWN}, not none." in result.stderr
        )

    def test_without_the_mapping_all_items_are_copied(self, filtered: Tables) -> None:
        filtered.put(SOURCE, "t2#a")

        document = ran("backfill", "--without-mapping", "--transform", "none")

        assert (document["items"], document["outside"]) == (1, 0)


class TestRedrive:
    def test_the_other_keys_of_a_batch_are_repaired(
        self, filtered: Tables, kept_records: KeptRecords
    ) -> None:
        filtered.put(SOURCE, "t1#a")
        filtered.put(SOURCE, "t2#a")
        name = kept_records.discard(put(1, "t1#a"), put(2, "t2#a"))

        document = ran("redrive", exit_code=1)

        assert document["left"][0]["keys"] == [{"PK": {"S": "t2#a"}}]
        assert list(filtered.items(REPLICA)) == ["t1#a"]
        assert kept_records.names(ON_FAILURE) == [name]

    def test_a_dry_run_lists_it(self, filtered: Tables, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "t1#a"))
        kept_records.quarantine(put(2, "t2#a"))

        document = ran("redrive", "--dry-run")

        assert (document["due"], document["outside"]) == (1, 1)


@pytest.mark.hazard(number=15)
def test_a_repair_does_not_change_excluded_items(filtered: Tables) -> None:
    filtered.put(SOURCE, "t1#missing")
    filtered.put(SOURCE, "t2#outside")
    filtered.put(REPLICA, "t3#outside")

    document = ran("verify", "--grace", "0", "--repair")

    assert document["verdict"] == "repaired"
    assert sorted(filtered.items(REPLICA)) == ["t1#missing", "t3#outside"]


@pytest.mark.hazard(number=15)
def test_a_backfill_omits_excluded_items(filtered: Tables) -> None:
    for number in range(30):
        filtered.put(SOURCE, f"t1#{number}")
        filtered.put(SOURCE, f"t2#{number}")

    result = run("backfill")

    assert result.exit_code == 0
    assert result.stdout.startswith("30 items copied in ")
    assert result.stdout.endswith("seconds. The mapping's filter excludes 30 items.\n")
    assert all(name.startswith("t1#") for name in filtered.items(REPLICA))


@pytest.mark.hazard(number=15)
def test_an_object_whose_key_is_excluded_now_stays_and_is_listed(
    filtered: Tables, kept_records: KeptRecords
) -> None:
    filtered.put(SOURCE, "t2#a")
    name = kept_records.quarantine(put(1, "t2#a"))

    result = run("redrive")

    assert result.exit_code == 1
    assert lines(result.stdout)[-3:] == [
        f"outside      s3://{QUARANTINE}/{name}",
        '             PK={"S": "t2#a"}',
        "             the mapping's filter excludes the key now, but did not when the record was stored",
    ]
    assert lines(result.stderr) == [
        (
            "Try: check whether the replica has the items outside the filter; no later change"
            " reaches them. Then move the object to done/."
        )
    ]
    assert filtered.items(REPLICA) == {}


@pytest.mark.parametrize("command", [("verify",), ("verify", "--repair"), ("backfill",), ("redrive",)])
def test_a_filter_on_images_is_refused(filtered: Tables, aws: Misbehaviour, command: tuple[str, ...]) -> None:
    answer_mapping(filtered, aws, patterns=[TENANT, ON_IMAGES])
    filtered.put(SOURCE, "t1#a")

    result = run(*command)

    assert result.exit_code == 2
    assert "Error: the mapping's filter is not supported: it looks at dynamodb.NewImage." in result.stderr
    assert filtered.items(REPLICA) == {}


def test_status_shows_the_filter(filtered: Tables) -> None:
    result = run("status")

    assert f"filter      {SHOWN}" in lines(result.stdout)
    assert ran("status")["mappings"][0]["filter"] == [SHOWN]


@pytest.mark.parametrize(
    "shown",
    [
        {"KMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1"},
        {"FilterCriteria": {}, "FilterCriteriaError": {"ErrorCode": "KMSAccessDenied"}},
    ],
)
def test_an_encrypted_filter_is_unknown_and_an_error_for_the_commands(
    filtered: Tables, aws: Misbehaviour, shown: dict[str, Any]
) -> None:
    stream = filtered.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
    answer_lambda(aws, [mapping(stream, **shown)])
    why = f"the filter of the mapping {UUID} is encrypted with your KMS key, and Lambda does not show it."

    result = run("status")

    assert "filter      unknown: it is encrypted with a KMS key" in lines(result.stdout)
    assert f"note: {why}" in lines(result.stdout)
    assert ran("status")["mappings"][0]["filter"] is None
    assert run("verify").stderr.startswith(f"Error: {why}")
