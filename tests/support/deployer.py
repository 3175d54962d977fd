"""The policy of docs/permissions.md for who deploys, and what the published schemas of the resource types require."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from tests.support.deployment_scenarios import BY_SCHEDULE, EVERYTHING
from tests.support.template import ROOT, resources

_SECTION: Final = r"^## {}$.*?^```json\n(.*?)^```$"
_WITHOUT_WORKERS: Final = "To deploy and to delete"
_WORKERS: Final = "To deploy workers"
_UNUSED: Final = re.compile(
    # Features of the resource types that the template does not use. The page describes those for KMS keys.
    r"(ec2|elasticfilesystem|firehose|kinesis|kms|s3files|s3tables):"
    r"|dynamodb:(Import|(Create|Associate)TableReplica|(Scan|Query|BatchWriteItem|(Update|Put|Get|Delete)Item)$"
    r"|(En|Dis)ableKinesis|UpdateKinesis|UpdateContributorInsights|UpdateTimeToLive|(Put|Delete)ResourcePolicy)"
    r"|iam:(CreateServiceLinkedRole|(At|De)tachRolePolicy|(Get|Put|Delete)(User|Group)Policy)"
    r"|lambda:(Pass|Associate|Publish|GetLayer|GetCodeSigning|(Put|Delete)FunctionCodeSigning"
    r"|Put(RuntimeManagement|FunctionRecursion|FunctionScaling)Config)"
    r"|logs:(CreateLogDelivery|CreateLogStream|DescribeLogStreams|PutLogEvents|PutBearer|PutLogGroupDeletion"
    r"|(Put|Delete)(DataProtection|Index|Resource)Policy)"
    r"|s3:(REST|GetObject|DeleteObject|PutObject|PutBucket(Abac|Acl|CORS|Logging|Notification|Object|Replication|Website)"
    r"|Put(Analytics|Inventory|Metrics|Accelerate|Replication|IntelligentTiering)Configuration"
    r"|(Create|Delete|Update)BucketMetadata|DeleteBucket(Website|Analytics|Cors|Metrics|Encryption|Lifecycle|Repl))"
    r"|sns:PutDataProtectionPolicy"
)


def policy(*, workers: bool = False) -> dict[str, Any]:
    """Return the policy of the page, or the one that workers need in addition."""
    section = _SECTION.format(_WORKERS if workers else _WITHOUT_WORKERS)
    page = (ROOT / "docs" / "permissions.md").read_text()
    found = re.search(section, page, re.MULTILINE | re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def actions(document: Mapping[str, Any]) -> set[str]:
    """Return the actions that a policy allows, some of them patterns."""
    return {action for statement in document["Statement"] for action in _each(statement["Action"])}


def without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    """Return the policy without an action."""
    left = [
        statement | {"Action": [kept for kept in _each(statement["Action"]) if kept != action]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in left if statement["Action"]]}


def required(*, workers: bool = False) -> set[str]:
    """Return what CloudFormation does to the resources of the template, or of its workers.

    The source is the schemas that cfn-lint has.
    """
    plain, more = resources(**EVERYTHING), resources(**EVERYTHING, **BY_SCHEDULE)
    types = {more[name]["Type"] for name in (more.keys() - plain.keys() if workers else plain)}
    permissions = _permissions(frozenset(types))
    assert types <= permissions.keys()
    return {each for name in types for each in permissions[name] if not _UNUSED.match(each)}


@cache
def _permissions(types: frozenset[str]) -> Mapping[str, frozenset[str]]:
    return dict(_handlers(types))


def _handlers(types: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    schemas = Path(str(files("cfnlint"))) / "data" / "schemas" / "resources"
    for path in schemas.glob("*.json"):
        text = path.read_text()
        if not any(f'"{name}"' in text for name in types):
            continue
        schema = json.loads(text)
        handlers = [handler for name, handler in schema.get("handlers", {}).items() if name != "list"]
        yield schema["typeName"], frozenset(each for handler in handlers for each in handler["permissions"])


def allows(allowed: set[str], action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in allowed)


def _each(one_or_more: str | list[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more
