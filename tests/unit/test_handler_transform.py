"""handler, with a transform: the replica gets f(image), and what f does not take is quarantined as it came."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws

from ddbreplica import handler
from ddbreplica.bucket.quarantine import MAX_IN_A_ROW
from ddbreplica.dynamodb import plain_replica
from ddbreplica.errors import QuarantineError, SettingsError, TransformError
from ddbreplica.records.decode import Decoded
from ddbreplica.transform.batch import transformed
from ddbreplica.transform.deployed import Deployed
from ddbreplica.transform.parse import parse
from ddbreplica.transform.secret import Secret, SecretId
from tests.support.contract import KEYS
from tests.support.fake_replica import TIMED_OUT, FakeReplica, in_turn
from tests.support.function import Context, Function
from tests.support.modules import ENGINE
from tests.support.records import batch, delete, put, record
from tests.support.replica_table import create_table

A_MAP = {"M": {"street": {"S": "canary"}}}
JOINED = '{"concat": {"index": ["t#", {"attribute": "tenant"}]}, "drop": ["note"]}'


def by(rules: str, secret: Secret | None = None) -> Callable[[Decoded], Decoded]:
    return partial(transformed, transform=Deployed(parse(rules)), secret=secret)


def function(rules: str = JOINED) -> Function[FakeReplica]:
    return Function(FakeReplica(), transform=by(rules))


def test_the_replica_gets_the_transformed_items_and_the_deletes() -> None:
    one = function()

    assert (
        one.invoke(batch(put(1, "a", tenant={"S": "x"}, note={"S": "n"}), put(2, "b"), delete(3, "b"))) == []
    )
    assert list(one.replica.items.values()) == [
        {"PK": {"S": "a"}, "tenant": {"S": "x"}, "index": {"S": "t#x"}}
    ]


def test_of_a_record_that_cannot_be_transformed_the_keys_previous_image_is_written() -> None:
    one, last = function(), put(3, "a", tenant=A_MAP)

    assert one.invoke(batch(put(1, "a", tenant={"S": "x"}), put(2, "b"), last)) == []
    assert [item.get("index") for item in one.replica.items.values()] == [{"S": "t#x"}, None]
    (kept,) = one.bucket.kept
    assert kept["record"] == last
    assert kept["error_code"] == "Untransformable"
    assert kept["reason"] == "cannot be transformed: attribute 'tenant' has type M; concat takes S, N"


def test_it_counts_as_quarantined_and_the_log_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    function().invoke(batch(put(1, "a", tenant=A_MAP), put(2, "b")))

    text = capsys.readouterr().out
    log, metrics = map(json.loads, text.splitlines())
    assert log["refusals"] == {"Untransformable": 1}
    assert log["refusal_messages"] == {
        "Untransformable": "cannot be transformed: attribute 'tenant' has type M; concat takes S, N"
    }
    assert metrics["RecordsQuarantined"] == [1.0]
    assert "canary" not in text


def test_the_record_of_an_in_doubt_write_is_kept_as_it_came() -> None:
    one = Function(FakeReplica(script=in_turn(TIMED_OUT)), transform=by(JOINED))
    came = put(1, "a", note={"S": "n"})

    assert one.invoke(batch(came)) == []
    assert [kept["record"] for kept in one.bucket.kept] == [came]


def test_the_fallback_writes_the_transformed_items_too() -> None:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_table(client)
        replica = plain_replica.connect("copy", region="us-east-1", role=None)
        one = Function(replica, transform=by('{"rename": {"a": "b", "b": "a"}}'))

        assert one.invoke(batch(record(1, "INSERT", KEYS, {**KEYS, "a": {"S": "1"}, "b": {"S": "2"}}))) == []

        (item,) = client.scan(TableName="copy")["Items"]
        assert (item["a"], item["b"]) == ({"S": "2"}, {"S": "1"})


def test_a_hundred_in_a_row_fail_the_invocation() -> None:
    one = function()

    with pytest.raises(QuarantineError, match="101 records in a row"):
        one.invoke(batch(*(put(number, f"k{number}", tenant=A_MAP) for number in range(MAX_IN_A_ROW + 1))))

    assert one.bucket.objects == {}


def test_a_transform_that_changes_a_key_attribute_fails_before_anything_is_written() -> None:
    one = function('{"hash": [], "rename": {"PK": "id"}}')

    with pytest.raises(TransformError, match='renames the key attribute "PK"'):
        one.invoke(batch(delete(1, "a"), put(2, "b"), put(3, "c", v={"X": "?"})))

    assert (one.replica.requests, one.bucket.objects) == ([], {})


class TestOfTheEnvironment:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        handler.replicator.cache_clear()
        for name, value in {
            "REPLICA_TABLE_NAME": "copy",
            "QUARANTINE_BUCKET": "bucket",
            "TRANSFORM": '{"hash": ["mail"]}',
        }.items():
            monkeypatch.setenv(name, value)
        with mock_aws():
            self.client = boto3.client("secretsmanager", region_name="eu-west-1")
            yield
        handler.replicator.cache_clear()

    def _secret(self, monkeypatch: pytest.MonkeyPatch) -> str:
        created = self.client.create_secret(Name="hash", SecretString="the secret")
        monkeypatch.setenv("TRANSFORM_SECRET_ARN", created["ARN"])
        monkeypatch.setenv("TRANSFORM_SECRET_VERSION", created["VersionId"])
        version: str = created["VersionId"]
        return version

    def test_a_wrong_transform_is_refused_at_every_invocation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handler, "replicate", pytest.fail)
        for name, value, message in (
            ("TRANSFORM", "[", "The transform is not JSON"),
            ("TRANSFORM", '{"hash": ["mail"]}', 'has a "hash" without a secret'),
            ("TRANSFORM_SECRET_VERSION", "AWSCURRENT", "TRANSFORM_SECRET_ARN is not set"),
        ):
            monkeypatch.setenv(name, value)
            with pytest.raises(SettingsError, match=message):
                handler.lambda_handler(batch(put(1, "a")), cast("Any", Context()))

    def test_the_secret_is_read_once_from_its_own_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._secret(monkeypatch)
        one = Function(FakeReplica(), transform=handler.replicator().transform)
        # A later rotation, or a denial, changes nothing for this execution environment.
        self.client.put_secret_value(SecretId="hash", SecretString="another secret")

        one.invoke(batch(put(1, "a", mail={"S": "x"})))

        hashed = Secret(SecretId("arn", "1"), b"the secret").hash(b'{"S":"x"}')
        assert [item["mail"] for item in one.replica.items.values()] == [{"S": hashed}]
        assert handler.replicator() is handler.replicator()

    def test_a_secret_that_cannot_be_read_is_read_again_by_the_next_invocation(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = self._secret(monkeypatch)
        monkeypatch.setenv("TRANSFORM_SECRET_VERSION", version[::-1])
        with pytest.raises(TransformError) as refused:
            handler.replicator()
        assert refused.value.code == "ResourceNotFoundException"
        monkeypatch.setenv("TRANSFORM_SECRET_VERSION", version)

        assert handler.replicator().transform is not None

    def test_a_secret_without_a_transform_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._secret(monkeypatch)
        monkeypatch.delenv("TRANSFORM")

        assert handler.replicator().transform is None


def test_without_a_transform_nothing_of_it_is_imported() -> None:
    code = """
import sys
from ddbreplica.handler import replicator
from tests.support.function import Function
from tests.support.fake_replica import FakeReplica
from tests.support.records import batch, put
replicator()
Function(FakeReplica()).invoke(batch(put(1, "a")))
print(*sorted(name for name in sys.modules if "transform" in name or name.endswith((".secret", ".parameters"))))
"""
    environment = {
        "PYTHONPATH": f"{ENGINE.parent}:{ENGINE.parents[1]}",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "REPLICA_TABLE_NAME": "copy",
        "QUARANTINE_BUCKET": "bucket",
    }
    shown = subprocess.run(  # noqa: S603  this interpreter, with a text of this file
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout

    assert shown.splitlines()[-1] == ""


def calls(event: Any, one: Function[FakeReplica]) -> Counter[str]:
    """Return how often each function of the product is called for a batch."""
    seen: Counter[str] = Counter()

    def note(frame: FrameType, kind: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        # Comprehensions are calls up to Python 3.11.
        if kind == "call" and module.startswith("ddbreplica.") and frame.f_code.co_name[0] != "<":
            seen[f"{module}.{frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        one.invoke(event)
    finally:
        sys.setprofile(None)
    return seen


def test_a_record_without_a_transform_makes_as_many_calls_as_before_there_were_transforms() -> None:
    few, many = (batch(*(put(n, f"k{n}", v={"S": "x"}) for n in range(count))) for count in (25, 50))

    each = calls(many, Function(FakeReplica())) - calls(few, Function(FakeReplica()))

    # Counted at the last commit whose function knew no transform.
    assert sum(each.values()) / 25 <= 18.2
