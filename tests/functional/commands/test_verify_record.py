"""A complete `ddbreplica verify` is recorded in the quarantine bucket, on moto, and `status` shows it."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.bucket.verification_record import RecordedTable, VerificationRecord, read
from ddbreplica.transform.parse import parse
from ddbreplica.verify.difference import DifferenceKind
from tests.support.account import FUNCTION, UUID, answer_lambda, function, mapping
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, refusal, run

PREFIX = "verifications/logfile_replica/"
MARK = "content-of-an-item"


@pytest.fixture(autouse=True)
def deployed(tables: Tables, aws: Misbehaviour) -> None:
    """A mapping that names the quarantine bucket `kept`, and one item that both tables have."""
    tables.client.update_table(
        TableName=SOURCE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )
    for bucket in ("kept", "given-up"):
        boto3.client("s3").create_bucket(Bucket=bucket)
    deploy(tables, aws)
    for table in (SOURCE, REPLICA):
        tables.put(table, f"{MARK}-in-a-key", text={"S": MARK})


def deploy(tables: Tables, aws: Misbehaviour, **environment: str) -> None:
    """Let Lambda describe the mapping, and its function with these additional variables."""
    stream: Any = tables.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
    answer_lambda(aws, [mapping(stream)], {FUNCTION: function(**environment)})


def verify(*options: str, exit_code: int = 0) -> Any:
    result = run("verify", "--grace", "0", *options)
    assert result.exit_code == exit_code, result.output
    return result


def bodies() -> dict[str, Any]:
    """Return the objects under `verifications/`, by their names."""
    s3 = boto3.client("s3")
    listed = s3.list_objects_v2(Bucket="kept", Prefix="verifications/").get("Contents", ())
    return {each["Key"]: s3.get_object(Bucket="kept", Key=each["Key"])["Body"].read() for each in listed}


def recorded() -> VerificationRecord:
    """Return the only record."""
    ((name, body),) = bodies().items()
    return read(body, name=name, stored_at=datetime.now(UTC))


def table(tables: Tables, name: str) -> RecordedTable:
    described = tables.client.describe_table(TableName=name)["Table"]
    return RecordedTable(described["TableArn"], described["CreationDateTime"])


def test_a_verification_is_recorded_with_its_counts_and_settings(tables: Tables) -> None:
    before = datetime.now(UTC)
    tables.put(SOURCE, "new")
    verify("--segments", "3", exit_code=1)

    record = recorded()

    assert (record.source, record.replica) == (table(tables, SOURCE), table(tables, REPLICA))
    assert abs((record.began - before).total_seconds()) < 60
    assert record.began <= record.ended
    assert (record.verdict, record.looked_at, record.consistency) == ("not equal", "everything", "strong")
    assert (record.source_items, record.replica_items, record.segments) == (2, 1, 3)
    assert record.differences == {"missing": 1, "different": 0, "extra": 0, "inconclusive": 0}
    assert (record.repaired, record.moving, record.in_doubt) == (0, 0, 0)
    assert record.confirmed_by in ("stream", "looks")
    assert (record.patterns, record.is_archive) == ((), False)


def test_a_verification_never_ends_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = (datetime.now(UTC) - timedelta(seconds=seconds) for seconds in count())
    monkeypatch.setattr(Clock, "moment", property(lambda _: next(backwards)))

    verify()

    assert recorded().ended == recorded().began


def test_two_verifications_of_one_second_have_two_records(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    moments = (now + timedelta(microseconds=microseconds) for microseconds in count())
    monkeypatch.setattr(Clock, "moment", property(lambda _: next(moments)))

    verify()
    verify()

    assert len(bodies()) == 2


def test_the_verdict_of_each_verification_can_be_recorded(tables: Tables) -> None:
    tables.put(SOURCE, "new")
    verify("--repair", "--eventually-consistent")

    record = recorded()

    assert (record.verdict, record.repaired, record.consistency) == ("repaired", 1, "eventual")


def test_equal_tables_need_no_confirmation() -> None:
    verify()

    assert (recorded().verdict, recorded().confirmed_by, recorded().lag) == ("equal", None, None)


def test_no_key_and_no_content_is_recorded(tables: Tables) -> None:
    tables.put(SOURCE, f"{MARK}-in-another-key", text={"S": MARK})
    tables.put(REPLICA, f"{MARK}-in-a-key", text={"S": f"{MARK}, changed"})
    verify(exit_code=1)

    (body,) = bodies().values()
    assert recorded().differences["different"] == 1
    assert MARK.encode() not in body


@pytest.mark.parametrize("of_a_part", [["--sample", "0.5"], ["--keys-from", "keys.jsonl"]])
def test_a_verification_of_a_part_is_not_recorded(
    of_a_part: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.jsonl").write_text(json.dumps({"PK": {"S": f"{MARK}-in-a-key"}}))

    verify(*of_a_part)

    assert bodies() == {}


def test_a_verification_that_stopped_early_is_not_recorded(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddbreplica.verify.options.MAX_SUSPECTS", 1)
    for number in range(12):  # three pages of a scan
        for table, text in ((SOURCE, "x"), (REPLICA, "y")):
            tables.put(table, str(number), text={"S": text * 300_000})

    result = verify("--segments", "1", "--json", exit_code=1)

    assert json.loads(result.stdout)["stopped_early"] is True
    assert bodies() == {}


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket"])
def test_a_verification_that_cannot_be_recorded_has_the_same_verdict(aws: Misbehaviour, code: str) -> None:
    aws.on("before-call.s3.PutObject", lambda **_: refusal(code, "not you"))

    result = verify()

    assert lines(result.stdout)[-1] == "equal"
    why = (
        "the bucket kept does not exist."
        if code == "NoSuchBucket"
        else "the objects in the bucket kept cannot be written: AccessDenied: not you"
    )
    assert lines(result.stderr) == [f"This verification is not recorded for `ddbreplica status`: {why}"]


def test_without_a_mapping_nothing_is_recorded_and_nothing_is_said(aws: Misbehaviour) -> None:
    answer_lambda(aws, [])

    assert verify("--transform", "none").stderr == ""
    assert bodies() == {}


def test_status_shows_what_verify_has_recorded(tables: Tables) -> None:
    tables.put(SOURCE, "new")
    verify(exit_code=1)
    found = json.loads(run("status", "--json").stdout)
    assert (found["last_verification"]["verdict"], found["verdict"]) == ("not equal", "needs attention")
    assert found["last_verification"]["recreated"] == []

    time.sleep(1.1)  # the time of a verification is that of AWS's responses, which have whole seconds
    verify("--repair")

    shown = json.loads(run("status", "--json").stdout)
    assert (shown["last_verification"]["verdict"], shown["findings"]) == ("repaired", [])
    assert len(bodies()) == 2


def test_status_shows_that_the_last_verification_was_of_another_transform(
    tables: Tables, aws: Misbehaviour
) -> None:
    def notes() -> list[str]:
        return [each["fact"] for each in json.loads(run("status", "--json").stdout)["findings"]]

    deploy(tables, aws, TRANSFORM='{"drop":["other","another"]}')
    verify()
    began = f"{recorded().began:%Y-%m-%d %H:%M} UTC"
    assert recorded().transform == deployed_digest('{"drop":["other","another"]}')
    assert notes() == []

    deploy(tables, aws, TRANSFORM='{"drop": ["another", "other"]}')
    assert notes() == []  # it makes the same items

    for environment in ({}, {"TRANSFORM": '{"drop":["other"]}'}):
        deploy(tables, aws, **environment)
        (note,) = notes()
        assert note == (
            f"the last verification, which began at {began}, was of another transform than the function has now"
        )

    for rules, reason in (("{", "is not JSON"), ('{"drop":["PK"]}', 'drops the key attribute "PK".')):
        deploy(tables, aws, TRANSFORM=rules)
        (problem,) = notes()
        assert problem.startswith(f"the function replicator rejects its transform: The transform {reason}")


def test_a_record_from_before_there_were_transforms_is_of_a_function_without_one(
    tables: Tables, aws: Misbehaviour
) -> None:
    verify()
    ((name, body),) = bodies().items()
    earlier = {member: value for member, value in json.loads(body).items() if member != "transform"}
    boto3.client("s3").put_object(Bucket="kept", Key=name, Body=json.dumps(earlier))

    def differs() -> bool:
        last: Any = json.loads(run("status", "--json").stdout)["last_verification"]
        return bool(last["transform_differs"])

    assert not differs()
    deploy(tables, aws, TRANSFORM='{"drop":["other"]}')
    assert differs()


def deployed_digest(text: str) -> str:
    return parse(text).digest(None)


def test_every_finding_of_a_verification_has_a_place_in_its_record(tables: Tables) -> None:
    verify()

    counted = {*recorded().differences, "archived", "moving"}
    assert counted == {kind.value for kind in DifferenceKind}
    assert UUID not in str(bodies())
