"""The recipes of docs/copies.md, deployed as the page says: replicated, copied, compared and repaired."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ddbreplica.mapping import last_update
from demo.adopting import turn_on_stream
from demo.deploy import deploy, deploy_replica
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, wait_until
from tests.support.cli import invoke
from tests.support.deployment_scenarios import STREAM
from tests.support.documented_deployments import deployments_in
from tests.support.orders import create_orders
from tests.support.template import REPLICA_TEMPLATE, ROOT, TEMPLATE
from tests.support.transforms import SECRET, Document, expected

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.loopback

PAGE: Final = (ROOT / "docs" / "copies.md").read_text()
THERE: Final = "444455556666"
KEY: Final = ["customer", "placed_at"]
CANARY: Final = "canary"


def section(title: str) -> str:
    """Return a recipe of the page."""
    (found,) = re.findall(rf"^## {title}$\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def order(number: int) -> Item:
    return {
        "customer": {"S": f"customer-{number}"},
        "placed_at": {"N": str(number)},
        "email": {"S": f"{CANARY}-{number % 3}@example.com"},
        "phone": {"N": "4955500"},
        "name": {"S": f"{CANARY} {number}"},
        "notes": {"S": CANARY},
        "shop": {"S": f"shop-{number % 2}"},
        "state": {"S": "open" if number < 6 else "paid"},
        "total": {"N": f"{number}.5"},
    }


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that is deployed on the embedded AWS, with a source that has items from before its stream."""

    aws: EmbeddedAws
    rules: Document
    parameters: Mapping[str, str]
    replica: str
    replica_client: "DynamoDBClient"
    options: tuple[str, ...] = ()

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run a command for the stack, which is to end with this status, and return its last line."""
        where = ("--stack-name", "orders-replica", "--endpoint-url", self.aws.endpoint_url, *self.options)
        result = invoke(*arguments, *where)
        assert result.exit_code == exit_code, result.output
        return result.stdout.rstrip().splitlines()[-1]

    def copied(self) -> list[Item]:
        pages = self.replica_client.get_paginator("scan").paginate(
            TableName=self.replica, ConsistentRead=True
        )
        return in_order(item for page in pages for item in page["Items"])

    def expected(self) -> list[Any]:
        pages = self.aws.dynamodb.get_paginator("scan").paginate(TableName="orders", ConsistentRead=True)
        return in_order(expected(self.rules, item, KEY) for page in pages for item in page["Items"])


def in_order(items: Any) -> list[Any]:
    return sorted(items, key=lambda item: int(item["placed_at"]["N"]))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddedAws]:
    """An AWS with the table `orders`, and the environment of an operator. A backfill does not wait."""
    with embedded_aws() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        profile = f"[other]\naws_access_key_id = {THERE}\naws_secret_access_key = {running.secret}\n"
        (tmp_path / "credentials").write_text(profile)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(last_update, "MARGIN", timedelta(minutes=-5))
        create_orders(running.dynamodb)
        for number in range(10):
            running.dynamodb.put_item(TableName="orders", Item=order(number))
        yield running


Elsewhere = Callable[[EmbeddedAws], EmbeddedAws]


def deployed(aws: EmbeddedAws, title: str, elsewhere: Elsewhere = lambda aws: aws, *options: str) -> Recipe:
    """Deploy a recipe with the parameters of the page, with the stream, the secret and the role of this AWS."""
    (rules,) = re.findall(r"^```json\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    documented = dict(deployments_in(section(title)))
    there = elsewhere(aws)
    far = {}
    if REPLICA_TEMPLATE in documented:
        parameters = {**documented[REPLICA_TEMPLATE], "TrustedAccountId": aws.account}
        known = {name: value for name, value in parameters.items() if name in documented[REPLICA_TEMPLATE]}
        far = dict(deploy_replica(there, "orders-target", **known).outputs)
    own = {
        "SourceStreamArn": turn_on_stream(aws.dynamodb, "orders"),
        "ReplicaRoleArn": far.get("ReplicaRoleArn", ""),
        **secret(aws),
    }
    parameters = {name: own.get(name, value) for name, value in documented[TEMPLATE].items()}
    stack = deploy(aws, "orders-replica", **parameters)
    assert json.loads(parameters["Transform"]) == json.loads(rules)
    return Recipe(aws, json.loads(rules), parameters, stack.replica, there.dynamodb, options)


def secret(aws: EmbeddedAws) -> Mapping[str, str]:
    created = aws.secretsmanager.create_secret(Name="orders/hash", SecretString=SECRET.value.decode())
    return {"TransformSecretArn": created["ARN"], "TransformSecretVersion": created["VersionId"]}


def prove(one: Recipe) -> None:
    """Replicate a change, copy what was before the stream, compare, and find and repair a planted difference."""
    one.aws.dynamodb.put_item(TableName="orders", Item=order(20))
    one.aws.dynamodb.delete_item(TableName="orders", Key={name: order(0)[name] for name in KEY})
    wait_until(lambda: len(one.copied()) == 1, "The change is replicated")
    assert one.copied() == [expected(one.rules, order(20), KEY)]

    one.run("backfill")
    assert one.copied() == one.expected()
    assert len(one.copied()) == 10
    verify = ("verify", "--grace", "1", "--read-rate", "1000")
    assert one.run(*verify) == "equal"

    planted = {**one.copied()[0], "total": {"N": "0"}, "planted": {"S": "x"}}
    one.replica_client.put_item(TableName=one.replica, Item=planted)
    one.run(*verify, exit_code=1)
    assert one.run(*verify, "--repair") == "repaired"
    assert one.copied() == one.expected()


def test_an_anonymised_copy_in_another_account(aws: EmbeddedAws) -> None:
    one = deployed(
        aws,
        "An anonymised copy in another account",
        lambda here: replace(here, account=THERE),
        "--replica-profile",
        "other",
    )

    prove(one)

    assert "orders_dev" not in aws.dynamodb.list_tables()["TableNames"]
    assert CANARY not in json.dumps(one.copied())
    hashes = {item["email"]["S"] for item in one.copied()}
    assert (len(hashes), {len(text) for text in hashes}) == (3, {64})


def test_a_computed_index_key(aws: EmbeddedAws) -> None:
    one = deployed(aws, "A computed index key", lambda here: replace(here, region="us-west-2"))

    prove(one)

    (query,) = [line for line in commands("A computed index key") if line.startswith("aws dynamodb query")]
    options = dict(zip(words := shlex.split(query), words[1:], strict=False))
    found = one.replica_client.query(
        TableName=options["--table-name"],
        IndexName=options["--index-name"],
        KeyConditionExpression=options["--key-condition-expression"],
        ExpressionAttributeValues=json.loads(options["--expression-attribute-values"]),
    )["Items"]
    assert [item["placed_at"]["N"] for item in found] == ["1", "3", "5"]


def test_some_attributes_only(aws: EmbeddedAws) -> None:
    one = deployed(aws, "Some attributes only")

    prove(one)

    assert {name for item in one.copied() for name in item} == {*KEY, "total", "state"}


def commands(title: str) -> list[str]:
    """Return the commands of a recipe, each on one line."""
    return re.findall(r"^\$ (.+)$", section(title).replace("\\\n", " "), re.MULTILINE)


def test_every_recipe_of_the_page_is_deployed_here() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)

    assert titles == [
        "An anonymised copy in another account",
        "A computed index key",
        "Some attributes only",
    ]
    assert STREAM not in PAGE
