"""`ddbreplica status --all` on moto, with simulated responses of Lambda and of the tagging API."""

import json
from typing import Any

import boto3
import pytest

from tests.support.account import FUNCTION, UUID, answer_lambda, answer_tags, function, mapping
from tests.support.cli import Misbehaviour, Tables, lines, press_ctrl_c, refusal, run
from tests.support.fleet import FAR, OTHER, Account, polled
from tests.support.verified import verify_before


def seen(*options: str, exit_code: int) -> dict[str, Any]:
    """Return the JSON document of each pair, by its replica."""
    result = run("status", "--all", "--json", *options)
    assert result.exit_code == exit_code, result.output
    document = json.loads(result.stdout)
    return {pair["pair"]["replica"]: pair for pair in document["pairs"]} | {"verdict": document["verdict"]}


def near(table: str, region: str = "us-east-1") -> str:
    return f"arn:aws:dynamodb:{region}:123456789012:table/{table}"


def test_each_pair_of_the_region_is_one_line(account: Account) -> None:
    polled(UUID, "22-33")

    result = run("status", "--all")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert lines(result.stdout) == [
        (
            "verdict      source → replica              mapping   lag  applied in 1 h  quarantine  on failure"
            "  last verified  written since"
        ),
        "replicating  logfile → logfile_replica     Enabled  idle               0           0           0  never",
        "replicating  orders → orders in eu-west-1  Enabled  idle               0           0           0  never",
        "",
        "us-east-1: 2 replicating.",
        "",
        "replicating",
    ]


def test_the_worst_pair_is_first_and_the_hint_shows_its_status(account: Account) -> None:
    polled(UUID, "22-33")
    account.tell(account.mappings(State="Disabled"))

    result = run("status", "--all", "--region", "us-east-1")

    assert result.exit_code == 1
    assert lines(result.stdout)[1:3] == [
        "NOT REPLICATING  orders → orders in eu-west-1  Disabled  idle               0           0           0  never",
        "    the event source mapping is Disabled (USER_INITIATED)",
    ]
    assert lines(result.stdout)[-4:] == [
        "us-east-1: 1 not replicating; 1 replicating.",
        "  Try: `ddbreplica status --source orders --replica orders --replica-region eu-west-1 --region us-east-1`.",
        "",
        "NOT REPLICATING",
    ]


def test_the_status_of_a_pair_has_the_same_values(account: Account) -> None:
    polled(UUID, "22-33")
    account.tell(account.mappings(State="Disabled"))

    pair = seen(exit_code=1)[near("orders", "eu-west-1")]
    alone = json.loads(run(*pair.pop("try").strip("`").split()[1:], "--json").stdout)
    del alone["figures"]  # of another moment

    assert {name: pair[name] for name in alone} == alone


def test_a_table_of_another_account_is_unknown_and_the_rest_is_shown(account: Account) -> None:
    polled(UUID, "22-33")
    boto3.client("s3").put_object(Bucket="kept", Key="quarantine/copy/x/1", Body=b"{}")

    def deny_the_other_account(params: Any, **_: Any) -> Any:
        return refusal("AccessDeniedException", "not you") if "copy" in params["body"].decode() else None

    account.aws.on("before-call.dynamodb.DescribeTable", deny_the_other_account)
    account.tell(orders=function(REPLICA_TABLE_NAME=FAR))

    result = run("status", "--all")

    assert result.exit_code == 1
    assert lines(result.stdout)[1:4] == [
        (
            "NEEDS ATTENTION  orders → copy in eu-west-1 of 210987654321  Enabled  idle               0           1"
            "           0  never"
        ),
        "    the quarantine bucket has 1 object with quarantined records: s3://kept/quarantine/copy/",
        f"    unknown: the replica (the table {FAR} cannot be described: AccessDeniedException: not you)",
    ]


def test_the_last_verification_of_each_pair(account: Account, tables: Tables) -> None:
    polled(UUID, "22-33")
    verify_before(tables.client, minutes=30, verdict="not equal", differences={"extra": 1})

    result = run("status", "--all")

    assert result.exit_code == 1
    assert lines(result.stdout)[1].endswith("           0  NOT EQUAL 30 min ago, 2,000 items              ?")
    assert ", found differences: 1 extra" in lines(result.stdout)[2]
    assert lines(result.stdout)[4].endswith("           0  never")


def test_a_pair_whose_transform_was_changed_since_it_was_verified(account: Account, tables: Tables) -> None:
    polled(UUID, "22-33")
    verify_before(tables.client, minutes=30, transform="f" * 64)

    result = run("status", "--all")

    assert result.exit_code == 0
    assert lines(result.stdout)[1].endswith("           0  another transform              ?")


def test_what_was_written_to_a_source_that_cannot_be_described_is_unknown(
    account: Account, tables: Tables
) -> None:
    polled(UUID, "22-33")
    verify_before(tables.client, minutes=30)

    def deny_the_source(params: Any, **_: Any) -> Any:
        is_source = json.loads(params["body"])["TableName"].endswith("logfile")
        return refusal("AccessDeniedException", "not you") if is_source else None

    account.aws.on("before-call.dynamodb.DescribeTable", deny_the_source)

    pair = seen(exit_code=0)[near("logfile_replica")]

    why = "the table logfile cannot be described: AccessDeniedException: not you"
    assert pair["unknown"] == {"the source": why, "what was written since the last verification": why}
    assert pair["last_verification"]["verdict"] == "equal"
    assert pair["last_verification"]["recreated"] == []


def test_a_replica_that_does_not_exist_is_not_replicating(account: Account, tables: Tables) -> None:
    polled(UUID, "22-33")
    tables.client.delete_table(TableName="logfile_replica")

    pair = seen(exit_code=1)[near("logfile_replica")]

    assert pair["verdict"] == "not replicating"
    assert pair["findings"][0]["fact"] == "the table logfile_replica does not exist in us-east-1"


def test_a_function_without_a_mapping_is_a_line(account: Account) -> None:
    account.tell(account.mappings()[:1])

    pair = seen(exit_code=1)["orders"]

    assert pair["pair"] == {"source": None, "replica": "orders", "function": OTHER}
    assert pair["verdict"] == "not replicating"
    assert pair["findings"][0]["fact"] == "no event source mapping invokes the function replicator-of-orders"


@pytest.mark.parametrize("target", [OTHER, f"{OTHER}:live"], ids=["the function", "an alias"])
def test_two_mappings_of_one_function_are_one_pair_that_needs_attention(
    account: Account, target: str
) -> None:
    again = mapping(account.streams[1], UUID="33-44", FunctionArn=target)
    account.tell([*account.mappings(), again])
    answer_lambda(
        account.aws,
        [*account.mappings(), again],
        {FUNCTION: function(), OTHER: function(**account.far), f"{OTHER}:live": function(**account.far)},
    )

    pair = seen(exit_code=1)[near("orders", "eu-west-1")]

    assert pair["findings"][0]["fact"] == (
        "2 event source mappings write to orders, so old images may overwrite newer ones: 22-33, 33-44"
    )


def test_two_tables_into_one_replica_need_attention(account: Account) -> None:
    account.tell(orders=function())

    result = run("status", "--all")

    assert result.exit_code == 1
    facts = [line for line in lines(result.stdout) if "2 tables are replicated" in line]
    assert (
        facts
        == ["    2 tables are replicated into logfile_replica, which can be equal to only one of them"] * 2
    )


def test_settings_that_cannot_be_read_leave_a_pair_unknown(account: Account) -> None:
    polled(UUID)
    account.tell(orders={**function(), "Environment": {"Error": {"Message": "KMS says no"}}})

    result = run("status", "--all")

    assert result.exit_code == 3
    assert lines(result.stdout)[1].startswith("UNKNOWN      ? → orders  ")
    assert f"(the settings of the function {OTHER} cannot be read: KMS says no)" in lines(result.stdout)[2]
    assert lines(result.stdout)[-3:] == [
        (
            "  Try: use credentials with the permissions that `ddbreplica status --all` needs (--profile,"
            " docs/permissions.md)."
        ),
        "",
        "UNKNOWN",
    ]


def test_a_function_that_was_deleted_is_known_by_its_tag(account: Account) -> None:
    answer_lambda(account.aws, account.mappings(), {FUNCTION: function()})

    pair = seen(exit_code=1)["orders"]

    assert pair["verdict"] == "not replicating"
    assert (
        pair["findings"][0]["fact"]
        == "the function replicator-of-orders has no variable REPLICA_TABLE_NAME, or was deleted"
    )
    assert [one["uuid"] for one in pair["mappings"]] == ["22-33"]


def test_if_mappings_cannot_be_listed_every_function_is_unknown(account: Account) -> None:
    denied = refusal("AccessDeniedException", "not you")
    account.aws.on("before-call.lambda.ListEventSourceMappings", lambda **_: denied)

    pairs = seen(exit_code=3)

    assert (pairs["logfile_replica"]["verdict"], pairs["orders"]["verdict"]) == ("unknown", "unknown")
    assert pairs["orders"]["unknown"]["the mapping"] == (
        "the event source mappings cannot be listed: AccessDeniedException: not you"
    )


def test_without_a_function_there_is_nothing_to_show(aws: Misbehaviour, tables: Tables) -> None:
    answer_tags(aws, {})

    result = run("status", "--all")

    assert (result.exit_code, result.stdout) == (2, "")
    assert lines(result.stderr) == [
        "Error: no function in us-east-1 has the tag ddbreplica.",
        "Try: check --region and --profile, or deploy a stack in this Region (docs/deployment.md).",
    ]


def test_tags_that_cannot_be_read_are_an_error(aws: Misbehaviour, tables: Tables) -> None:
    denied = refusal("AccessDeniedException", "not you")
    aws.on("before-call.resource-groups-tagging-api.GetResources", lambda **_: denied)

    result = run("status", "--all")

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == (
        "Error: the functions with the tag ddbreplica cannot be listed: AccessDeniedException: not you"
    )


@pytest.mark.parametrize(
    "option", [("--source", "a"), ("--replica", "a"), ("--stack-name", "a"), ("--replica-region", "a")]
)
def test_all_cannot_be_used_with_options_of_one_pair(option: tuple[str, str]) -> None:
    result = run("status", "--all", *option)

    assert result.exit_code == 2
    assert "--all cannot be used with --source, --replica, --stack-name or --replica-region." in result.stderr


def test_watch_reads_all_pairs_again(account: Account) -> None:
    polled(UUID, "22-33")
    presses = iter([False, False, True, False])

    def press_at_the_third_page(**_: Any) -> None:
        if next(presses):
            press_ctrl_c()

    account.aws.on("before-call.lambda.ListEventSourceMappings", press_at_the_third_page)

    result = run("status", "--all", "--watch", "1")

    assert result.exit_code == 130
    assert len([line for line in lines(result.stdout) if line.startswith("replicating, at ")]) == 2


def test_the_replica_profile_is_used_for_a_replica_of_another_account(
    account: Account, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text("[far]\naws_access_key_id = far-key\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    account.tell(orders=function(REPLICA_TABLE_NAME=FAR))
    signed: dict[str, str] = {}

    def note(request: Any, **_: Any) -> None:
        table = json.loads(request.body)["TableName"]
        signed[table] = (
            request.headers["Authorization"].decode().partition("Credential=")[2].partition("/")[0]
        )

    account.aws.on("before-send.dynamodb.DescribeTable", note)
    seen("--replica-profile", "far", exit_code=1)

    assert signed.pop(FAR) == "far-key"
    assert signed.keys() == {"logfile", "logfile_replica", "orders"}
    assert "far-key" not in signed.values()
