"""The objects and state files of a recorded release (tests/stack/upgrade/record.py), as in a stack of today."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZipFile

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECORDED: Final = Path(__file__).parents[1] / "stack" / "upgrade" / "recorded"
TEMPLATE: Final = RECORDED / "template.json"
REPLICA_TEMPLATE: Final = RECORDED / "replica.yaml"
FACTS: Final[Mapping[str, str]] = json.loads((RECORDED / "facts.json").read_text())


def code(directory: Path) -> Path:
    """Unpack the function's code into a directory like src/, and return the directory."""
    with ZipFile(RECORDED / "code.zip") as archive:
        archive.extractall(directory)
    return directory


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was stored; `bucket` is the output of the stack that names its bucket."""

    bucket: str
    name: str
    body: str

    @property
    def keys(self) -> set[str]:
        """Return the partition keys of its records."""
        content = json.loads(self.body)
        records = json.loads(content["payload"])["Records"] if "payload" in content else [content["record"]]
        return {record["dynamodb"]["Keys"]["PK"]["S"] for record in records}


@dataclass(frozen=True, slots=True)
class Place:
    """The values of today's stack in the place of those that were recorded."""

    present: Mapping[str, str]

    @classmethod
    def of(cls, dynamodb: "DynamoDBClient", *, source: str, replica: str, function_arn: str) -> "Place":
        """Return the values of two tables with the names of the recorded ones."""
        described: Any = {
            name: dynamodb.describe_table(TableName=name)["Table"] for name in (source, replica)
        }
        identities = {
            role: f"{described[name]['TableArn']} of {described[name]['CreationDateTime']}"
            for role, name in (("source", source), ("replica", replica))
        }
        stream = described[source]["LatestStreamArn"]
        return cls({**identities, "stream": stream, "label": _label(stream), "function": function_arn})

    def objects(self) -> Iterator[StoredObject]:
        """Return the stored objects."""
        for stored in json.loads((RECORDED / "objects.json").read_text()):
            yield StoredObject(stored["bucket"], self._moved(stored["name"]), self._moved(stored["body"]))

    def state(self, name: str, directory: Path) -> Path:
        """Write a state file into a directory: `interrupted` or `killed`."""
        path = directory / f"{name}.backfill"
        path.write_text(self._moved((RECORDED / path.name).read_text()))
        return path

    def _moved(self, text: str) -> str:
        recorded = {**FACTS, "label": _label(FACTS["stream"])}
        for name, value in self.present.items():
            text = text.replace(recorded[name], value)
        return text


def closed(state: str) -> set[str]:
    """Return the partition keys that the recorded backfill had copied."""
    lines = [json.loads(line) for line in (RECORDED / f"{state}.backfill").read_text().splitlines()]
    return {key["PK"]["S"] for line in lines for key in line.get("close", ())}


def _label(stream: str) -> str:
    return stream.partition("/stream/")[2]
