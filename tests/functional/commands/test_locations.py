"""The location of the tables, from options, the stack, the environment or AWS configuration files."""

from pathlib import Path
from typing import Any

import pytest

from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica_cli.terminal.options import Options
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, run

HERE = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
THERE = "arn:aws:dynamodb:eu-west-1:210987654321:table/copy"


def connection(**named: str) -> Connection:
    silent: dict[str, Any] = dict.fromkeys(set(Options.__dataclass_fields__) - {"as_json"})
    return Connection(Options(**{**silent, **named}, as_json=False))


def place(side: Side) -> tuple[str, str, str]:
    client = side.dynamodb()
    credentials = client._request_signer._credentials  # type: ignore[attr-defined]
    return side.name, client.meta.region_name, credentials.access_key


def answer_stack(aws: Misbehaviour, **outputs: str) -> None:
    aws.answer_stack({"Outputs": [{"OutputKey": name, "OutputValue": outputs[name]} for name in outputs]})


@pytest.fixture
def far_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "credentials").write_text(
        "[far]\naws_access_key_id = far-key\naws_secret_access_key = dummy\n", encoding="utf-8"
    )
    (tmp_path / "config").write_text("[profile far]\nregion = ap-south-1\n", encoding="utf-8")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return "far"


def test_by_default_both_tables_are_in_one_region() -> None:
    both = connection(region="eu-west-3")

    assert place(both.source) == ("logfile", "eu-west-3", "dummy")
    assert place(both.replica) == ("logfile_replica", "eu-west-3", "dummy")


def test_the_replica_may_be_in_another_region() -> None:
    apart = connection(region="eu-west-3", replica_region="eu-west-1")

    assert place(apart.source) == ("logfile", "eu-west-3", "dummy")
    assert place(apart.replica) == ("logfile_replica", "eu-west-1", "dummy")


def test_the_region_in_an_arn_is_used() -> None:
    apart = connection(source=HERE, replica=THERE, region="eu-west-3", replica_region="eu-west-2")

    assert place(apart.source) == (HERE, "us-east-1", "dummy")
    assert place(apart.replica) == (THERE, "eu-west-1", "dummy")
    assert apart.replica.short_name == "copy"


def test_a_malformed_arn_is_a_name() -> None:
    odd = connection(replica="arn:x", region="eu-west-3")

    assert place(odd.replica) == ("arn:x", "eu-west-3", "dummy")


def test_a_client_is_created_once_and_shared_by_all_pairs(far_profile: str) -> None:
    base = connection(replica_profile=far_profile)
    silent: dict[str, Any] = dict.fromkeys(set(Options.__dataclass_fields__) - {"as_json"})
    near = base.to(Options(**{**silent, "source": "orders"}, as_json=False))
    far = base.to(Options(**{**silent, "replica_profile": far_profile}, as_json=False))

    assert near.source.name == "orders"
    assert near.source.dynamodb() is base.source.dynamodb()
    assert place(near.replica)[2] == "dummy"
    assert far.replica.dynamodb() is base.replica.dynamodb()
    assert place(far.replica)[2] == "far-key"


def test_the_replica_may_have_credentials_of_its_own(
    far_profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = connection(replica_profile=far_profile)

    assert place(apart.source) == ("logfile", "us-east-1", "dummy")
    assert place(apart.replica) == ("logfile_replica", "us-east-1", "far-key")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert place(connection(replica_profile=far_profile).replica)[1] == "ap-south-1"


def test_the_replica_is_in_the_region_of_the_source_by_default(
    far_profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")

    assert place(connection(source=HERE).replica)[1] == "us-east-1"
    assert place(connection(source=HERE, region="eu-west-3").replica)[1] == "eu-west-3"
    assert place(connection(region="eu-west-3", replica_profile=far_profile).replica)[1] == "eu-west-3"
    far = connection(region="eu-west-3", replica_region="eu-west-2", replica_profile=far_profile)
    assert (place(far.source)[1], place(far.replica)[1]) == ("eu-west-3", "eu-west-2")


def test_an_option_overrides_an_arn_for_other_services() -> None:
    assert connection(source=HERE).tags.meta.region_name == "us-east-1"
    assert connection(source=HERE, region="eu-west-3").tags.meta.region_name == "eu-west-3"


def test_the_region_of_the_replica_is_read_from_the_stack(aws: Misbehaviour) -> None:
    answer_stack(aws, SourceTableName="orders", ReplicaTableName="orders", ReplicaRegion="eu-west-1")

    apart = connection(stack_name="s")

    assert place(apart.source) == ("orders", "us-east-1", "dummy")
    assert place(apart.replica) == ("orders", "eu-west-1", "dummy")
    assert place(connection(stack_name="s", replica_region="eu-west-2").replica)[1] == "eu-west-2"
    assert place(connection(stack_name="s", replica="another").replica)[1] == "us-east-1"


def test_a_replica_in_another_account_is_given_by_its_arn_unless_a_profile_is_used(
    aws: Misbehaviour, far_profile: str
) -> None:
    outputs = {"SourceTableName": "logfile", "SourceTableArn": HERE, "ReplicaTableName": "copy"}
    answer_stack(aws, **outputs, ReplicaTableArn=THERE, ReplicaRegion="eu-west-1")

    assert place(connection(stack_name="s").replica)[:2] == (THERE, "eu-west-1")
    signed_in = connection(stack_name="s", replica_profile=far_profile)
    assert place(signed_in.replica)[:2] == ("copy", "eu-west-1")


def test_tables_with_the_same_name_in_two_regions_are_compared(tables: Tables) -> None:
    far = Tables.__new__(Tables)
    far.client = tables.in_region("eu-west-1")
    far.create(SOURCE, {"PK": "S"})
    tables.put(SOURCE, "a", n={"N": "1"})

    result = run("verify", "--replica", SOURCE, "--replica-region", "eu-west-1", "--grace", "0")

    assert result.exit_code == 1
    assert "missing                   1" in lines(result.stdout)
    far.put(SOURCE, "a", n={"N": "1"})
    assert run("verify", "--replica", SOURCE, "--replica-region", "eu-west-1").exit_code == 0
    assert tables.items(REPLICA) == {}
