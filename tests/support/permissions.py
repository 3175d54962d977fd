"""Compare the permissions that a command's calls need with those that docs/permissions.md lists."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from botocore import handlers

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "permissions.md"
_SECTION: Final = re.compile(r"^## `([^`]+)`$.*?^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TRANSFORMS: Final = re.compile(r"^## Transforms$.*?^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PREFIXES: Final = {"secrets-manager": "secretsmanager"}
_S3: Final = {
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "HeadObject": "s3:GetObject",
}


class Permission(NamedTuple):
    """An action and its resource: an ARN without partition, Region and account, or `*` if the action has none."""

    action: str
    resource: str


def listed(arguments: Sequence[str]) -> set[Permission]:
    """Return the permissions that the page lists for a command line: those of each section whose words it contains."""
    return {
        permission
        for words, policy in sections().items()
        if set(words.split()) <= set(arguments)
        for permission in _permissions(policy)
    }


def of_a_hash(arguments: Sequence[str]) -> set[Permission]:
    """Return the permissions that the page lists for a command if the function's transform hashes."""
    if not {"backfill", "redrive", "verify"}.intersection(arguments):
        return set()
    (policy,) = _TRANSFORMS.findall(_DOCUMENT.read_text())
    return set(_permissions(json.loads(policy)))


def sections() -> Mapping[str, Any]:
    """Return the policies of the page by their headings."""
    return {words: json.loads(policy) for words, policy in _SECTION.findall(_DOCUMENT.read_text())}


def _permissions(policy: Any) -> Iterator[Permission]:
    for statement in policy["Statement"]:
        for action in _each(statement["Action"]):
            for arn in _each(statement["Resource"]):
                yield Permission(action, _short(arn))


def _short(arn: str) -> str:
    return re.sub("^arn:[^:]+:([^:]+):[^:]*:[^:]*:", r"\1:", arn)


def _each(one_or_more: str | list[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


@contextmanager
def recorded() -> Iterator[set[Permission]]:
    """Yield a set that collects the permissions that the calls of each client need during the block."""
    needed: set[Permission] = set()

    def called(event_name: str, params: Any, **_: Any) -> None:
        _before, service, operation = event_name.split(".")
        needed.update(_needed(service, operation, params))

    def signed(event_name: str, request: Any, **_: Any) -> None:
        # Reads and writes of items send signed requests without botocore's call events.
        needed.update(_needed("dynamodb", event_name.split(".")[2], json.loads(request.data)))

    hooks: Any = [("before-parameter-build", called), ("before-sign.dynamodb", signed)]
    builtin = handlers.BUILTIN_HANDLERS
    handlers.BUILTIN_HANDLERS = [*hooks, *builtin]
    try:
        yield needed
    finally:
        handlers.BUILTIN_HANDLERS = builtin


def _needed(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Permission]:
    match service, operation:
        case "s3", "CopyObject":
            yield Permission("s3:GetObject", f"s3:{_copied(params['CopySource'])}")
            yield Permission("s3:PutObject", f"s3:{params['Bucket']}/{params['Key']}")
        case "s3", _:
            place = "/".join(params[part] for part in ("Bucket", "Key") if part in params)
            of_version = "Version" if "VersionId" in params else ""
            yield Permission(_S3.get(operation, f"s3:{operation}{of_version}"), f"s3:{place}")
        case "dynamodb", _:
            for table in params.get("RequestItems", (params.get("TableName"),)):
                yield Permission(f"dynamodb:{operation}", f"dynamodb:table/{table.rpartition('/')[2]}")
        case "dynamodb-streams", _:
            yield Permission(f"dynamodb:{operation}", _streams(params))
        case "lambda", "GetFunctionConfiguration" | "ListTags":
            yield Permission(f"lambda:{operation}", _short(params.get("FunctionName") or params["Resource"]))
        case "sfn" | "scheduler", _:
            yield _of_jobs(operation, params)
        case "resource-groups-tagging-api", _:
            yield Permission(f"tag:{operation}", "*")
        case "cloudformation", _:
            yield Permission(f"cloudformation:{operation}", f"cloudformation:stack/{params['StackName']}/id")
        case _:
            yield Permission(f"{_PREFIXES.get(service, service)}:{operation}", "*")


def _of_jobs(operation: str, params: Mapping[str, Any]) -> Permission:
    if operation == "GetSchedule":
        return Permission(
            f"scheduler:{operation}", f"scheduler:schedule/{params['GroupName']}/{params['Name']}"
        )
    return Permission(f"states:{operation}", _short(params.get("executionArn") or params["stateMachineArn"]))


def _streams(params: Mapping[str, Any]) -> str:
    if "TableName" in params:  # ListStreams
        return f"dynamodb:table/{params['TableName']}/stream/*"
    return _short(params.get("StreamArn") or params["ShardIterator"])  # it begins with the ARN


def _copied(source: Any) -> str:
    return source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
