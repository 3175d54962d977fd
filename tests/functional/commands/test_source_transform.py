"""The commands on moto with a transform: what they write, what they refuse, and that they show no hidden value."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from click.testing import Result

from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, refusal, run
from tests.support.kept_records import QUARANTINE, KeptRecords, answer_mapping
from tests.support.records import put
from tests.support.transform_oracle import Oracle

WRITERS: Mapping[str, Sequence[str]] = {
    "backfill": ("backfill", "--segments", "1"),
    "repair": ("verify", "--repair", "--grace", "0"),
    "redrive": ("redrive",),
}
EVERY_WRITER = pytest.mark.parametrize("writer", WRITERS)

SECRET = "canary-of-the-secret"
PLAIN = "canary-of-the-plain-value"
DROPPED = "canary-of-the-dropped-value"
RULES: Mapping[str, Any] = {
    "hash": ["name"],
    "concat": {"by": ["name#", {"attribute": "name"}]},
    "drop": ["gone"],
}
ITEM: Mapping[str, Any] = {"name": {"S": PLAIN}, "gone": {"S": DROPPED}, "kept": {"N": "1"}}
SAY_WHAT_IT_IS = "Try: say what it is: --transform FILE, or --transform none if it has no transform."


@dataclass
class World:
    """A source with one item, which the replica lacks and of which a record is in quarantine."""

    tables: Tables
    kept_records: KeptRecords
    aws: Misbehaviour
    directory: Path

    def deploy(self, rules: Mapping[str, Any] | str, **secret: Any) -> None:
        """Let the function have this transform."""
        text = rules if isinstance(rules, str) else json.dumps(rules)
        answer_mapping(self.tables, self.aws, TRANSFORM=text, **secret)

    def file(self, rules: Any, name: str = "rules.json") -> str:
        path = self.directory / name
        path.write_bytes(rules if isinstance(rules, bytes) else json.dumps(rules).encode())
        return str(path)

    def create_secret(self) -> dict[str, Any]:
        """Return the secret as the variables of the function."""
        client = boto3.client("secretsmanager", region_name="us-east-1")
        created = client.create_secret(Name="hash", SecretString=SECRET)
        client.put_secret_value(SecretId="hash", SecretString="another-version")
        return {
            "TRANSFORM_SECRET_ARN": created["ARN"],
            "TRANSFORM_SECRET_VERSION": created["VersionId"],
        }

    @property
    def replica(self) -> Any:
        return self.tables.items(REPLICA)


@pytest.fixture
def world(tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, tmp_path: Path) -> World:
    tables.put(SOURCE, "a", **ITEM)
    kept_records.quarantine(put(1, "a", **ITEM))
    return World(tables, kept_records, aws, tmp_path)


def written_by(writer: str, *more: str) -> Result:
    named = ("--quarantine-bucket", QUARANTINE) if writer == "redrive" else ()
    return run(*WRITERS[writer], *named, *more)


def hashed() -> Any:
    """Return what the replica is to hold."""
    item = {"PK": {"S": "a"}, **ITEM}
    return {"a": Oracle(RULES, key=["PK"], secret=SECRET.encode()).expected(item)}


def unknown(world: World, how: str) -> Sequence[str]:
    """Make the function's configuration unreadable. Return the options with which a command goes on all the same."""
    if how == "denied":
        denied = refusal("AccessDeniedException", "not you")
        world.aws.on("before-call.lambda.GetFunctionConfiguration", lambda **_: denied)
    elif how == "no list":
        world.aws.on(
            "before-call.lambda.ListEventSourceMappings", lambda **_: refusal("AccessDeniedException")
        )
    else:
        answer_mapping(world.tables, world.aws, mapped=False)
    return ("--without-mapping",)


UNKNOWN = pytest.mark.parametrize("how", ["denied", "no list", "no mapping"])


@EVERY_WRITER
@UNKNOWN
def test_who_cannot_read_the_function_writes_nothing(world: World, writer: str, how: str) -> None:
    despite = unknown(world, how)

    at_all = written_by(writer)
    without_mapping = written_by(writer, *despite)

    assert (at_all.exit_code, without_mapping.exit_code) == (2, 2)
    assert lines(without_mapping.stderr)[-2:] == [
        "Error: the function's transform is not known, since its configuration cannot be read.",
        SAY_WHAT_IT_IS,
    ]
    assert world.replica == {}
    assert len(world.kept_records.names(QUARANTINE)) == 1


@EVERY_WRITER
@UNKNOWN
def test_a_transform_that_is_given_is_applied_without_the_function(
    world: World, writer: str, how: str
) -> None:
    despite = unknown(world, how)
    file = world.file({"drop": ["gone", "name"]})

    result = written_by(writer, *despite, "--transform", file)

    assert result.exit_code == 0
    assert world.replica == {"a": {"PK": {"S": "a"}, "kept": {"N": "1"}}}


@EVERY_WRITER
@UNKNOWN
def test_none_says_that_there_is_no_transform(world: World, writer: str, how: str) -> None:
    despite = unknown(world, how)

    assert written_by(writer, *despite, "--transform", "none").exit_code == 0
    assert world.replica == {"a": {"PK": {"S": "a"}, **ITEM}}


@EVERY_WRITER
@UNKNOWN
def test_a_given_transform_hashes_under_the_given_secret(world: World, writer: str, how: str) -> None:
    despite, secret = unknown(world, how), world.create_secret()
    options = (
        "--transform-secret-arn",
        secret["TRANSFORM_SECRET_ARN"],
        "--transform-secret-version",
        secret["TRANSFORM_SECRET_VERSION"],
    )

    result = written_by(writer, *despite, "--transform", world.file(RULES), *options)

    assert result.exit_code == 0
    assert world.replica == hashed()


@UNKNOWN
def test_a_verification_compares_as_without_a_transform_and_says_so(world: World, how: str) -> None:
    unknown(world, how)
    world.tables.put(REPLICA, "a", **ITEM)

    result = run("verify", "--grace", "0")

    assert (result.exit_code, lines(result.stdout)[-1]) == (0, "equal")
    assert (
        "The function's transform is not known, since its configuration cannot be read: items are compared as without"
        " a transform." in result.stderr.replace("\n", " ")
    )


@EVERY_WRITER
@pytest.mark.parametrize("despite", [(), ("--without-mapping",)], ids=["mapping", "without"])
def test_the_functions_transform_is_applied(world: World, writer: str, despite: Sequence[str]) -> None:
    world.deploy(RULES, **world.create_secret())

    assert written_by(writer, *despite).exit_code == 0
    assert world.replica == hashed()
    assert run("verify", "--grace", "0").exit_code == 0


@EVERY_WRITER
@pytest.mark.parametrize("despite", [(), ("--without-mapping",)], ids=["mapping", "without"])
def test_a_transform_that_is_not_the_functions_is_refused(
    world: World, writer: str, despite: Sequence[str]
) -> None:
    world.deploy({"drop": ["gone"]})

    for given in ("none", world.file({"drop": ["name"]})):
        result = written_by(writer, *despite, "--transform", given)

        assert result.exit_code == 2
        assert lines(result.stderr)[-2:] == [
            "Error: --transform does not give the transform of the function ddbreplica.",
            "Try: leave out --transform, since the function's own is read; or deploy the stack with this one first.",
        ]
    assert world.replica == {}


@EVERY_WRITER
def test_the_functions_own_transform_may_be_given(world: World, writer: str) -> None:
    world.deploy({"drop": ["gone", "name"]})

    assert written_by(writer, "--transform", world.file({"drop": ["name", "gone"]})).exit_code == 0
    assert world.replica == {"a": {"PK": {"S": "a"}, "kept": {"N": "1"}}}


@EVERY_WRITER
@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("{", "is not JSON"),
        ({"mask": ["name"]}, "mask"),
        ({"hash": ["name"]}, 'a "hash" without a secret'),
        ({"drop": ["PK"]}, "PK"),
    ],
    ids=["no JSON", "member", "secret", "key"],
)
def test_a_transform_of_the_function_that_is_not_valid_is_no_transform_to_write_with(
    world: World, writer: str, rules: Any, why: str
) -> None:
    world.deploy(rules)

    result = written_by(writer)

    assert result.exit_code == 2
    assert why in lines(result.stderr)[-2]
    assert lines(result.stderr)[-1].startswith("Try: ")
    assert world.replica == {}


def denied(world: World) -> None:
    world.aws.on(
        "before-call.secrets-manager.GetSecretValue", lambda **_: refusal("AccessDeniedException", "not you")
    )


def missing(world: World) -> None:
    boto3.client("secretsmanager", region_name="us-east-1").delete_secret(
        SecretId="hash", ForceDeleteWithoutRecovery=True
    )


def silent(world: World) -> None:
    def time_out(**_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="https://secretsmanager")

    world.aws.on("before-send.secrets-manager.GetSecretValue", time_out)


@EVERY_WRITER
@pytest.mark.parametrize("trouble", [denied, missing, silent])
def test_without_the_secret_nothing_is_written(
    world: World, writer: str, trouble: Callable[[World], None]
) -> None:
    secret = world.create_secret()
    world.deploy(RULES, **secret)
    trouble(world)

    result = written_by(writer)

    assert result.exit_code == 2
    assert f"of the secret {secret['TRANSFORM_SECRET_ARN']} cannot be read" in lines(result.stderr)[-2]
    assert world.replica == {}
    assert_hidden(world, result)


ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hash-AbCdEf"
VERSION = "11111111-90ab-cdef-fedc-ba9876543210"


@EVERY_WRITER
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--transform", "missing.json"), "missing.json"),
        (("--transform", ""), "--transform"),
        (("--transform", "{bad}"), "bad.json"),
        (("--transform", "{binary}"), "is not in UTF-8"),
        (("--transform", "{rules}"), 'a "hash" without a secret'),
        (("--transform", "{rules}"), "in --transform-secret-arn and --transform-secret-version"),
        (("--transform-secret-arn", ARN), "require --transform FILE"),
        (("--transform-secret-version", VERSION), "require --transform FILE"),
        (
            ("--transform", "none", "--transform-secret-arn", ARN),
            "require --transform FILE",
        ),
        (
            ("--transform", "{rules}", "--transform-secret-arn", "hash"),
            "--transform-secret-arn is 'hash'",
        ),
        (
            ("--transform", "{rules}", "--transform-secret-arn", ARN),
            "--transform-secret-version is not set",
        ),
        (
            ("--transform", "{rules}", "--transform-secret-version", VERSION),
            "--transform-secret-arn is not set",
        ),
        (
            (
                "--transform",
                "{rules}",
                "--transform-secret-arn",
                ARN,
                "--transform-secret-version",
                "AWSCURRENT",
            ),
            "--transform-secret-version is 'AWSCURRENT'",
        ),
    ],
)
def test_bad_options_are_refused_by_name_before_anything_is_read(
    world: World, writer: str, options: Sequence[str], why: str
) -> None:
    files = {
        "{rules}": world.file(RULES),
        "{bad}": world.file({"mask": []}, "bad.json"),
        "{binary}": world.file(b"\xff", "binary.json"),
    }
    world.aws.on("before-call.lambda", lambda **_: pytest.fail("nothing is asked before"))
    world.aws.on("before-call.dynamodb", lambda **_: pytest.fail("nothing is asked before"))

    result = written_by(writer, "--without-mapping", *(files.get(each, each) for each in options))

    assert result.exit_code == 2
    assert why in result.stderr.replace("\n", " ")
    assert world.replica == {}


def assert_hidden(world: World, *results: Result, apart: Sequence[Path] = ()) -> None:
    """Check that no output and no file has the secret, or a value that the replica does not hold in the clear."""
    said = "".join(result.output + result.stderr for result in results)
    files = [path for path in world.directory.rglob("*") if path.is_file() and path not in apart]
    texts = [said, *(path.read_text(errors="replace") for path in files)]
    for canary in (SECRET, PLAIN, DROPPED):
        assert not any(canary in text for text in texts)


@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["text", "JSON"])
def test_a_verification_shows_what_the_replica_is_to_hold(
    world: World, shape: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.directory)
    world.deploy(RULES, **world.create_secret())
    world.tables.put(REPLICA, "a", name={"S": "other"})

    result = run("verify", "--grace", "0", "--report", "report.jsonl", *shape)

    assert result.exit_code == 1
    (reported,) = map(json.loads, (world.directory / "report.jsonl").read_text().splitlines())
    assert {each["name"]: each["source"] for each in reported["attributes"]}["name"] == hashed()["a"]["name"]
    assert hashed()["a"]["name"]["S"][:20] in result.stdout
    assert_hidden(world, result)


@EVERY_WRITER
def test_an_item_that_cannot_be_transformed_is_refused_without_its_values(
    world: World, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.directory)
    world.deploy(RULES, **world.create_secret())
    world.tables.put(SOURCE, "a", **{**ITEM, "name": {"M": {"x": {"S": PLAIN}}}})

    text = written_by(writer)
    document = written_by(writer, "--json")

    assert (text.exit_code, document.exit_code) == (1, 1)
    assert "attribute 'name' has type M" in text.stdout + text.stderr
    assert "Untransformable" in document.stdout
    assert world.replica == {}
    assert_hidden(world, text, document)


@EVERY_WRITER
def test_the_state_of_a_run_that_failed_has_no_hidden_value(
    world: World, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.directory)
    world.deploy(RULES, **world.create_secret())
    world.aws.refuse("BatchWriteItem", "AccessDeniedException")

    result = written_by(writer, "--json")

    assert result.exit_code == 2
    assert list(world.directory.glob("logfile-logfile_replica.*"))
    assert_hidden(world, result)
