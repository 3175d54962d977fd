"""The batches of the contestants, as Lambda passes them to a function. Pure."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from ddbreplica_cli.samples.generate import rows
from ddbreplica_cli.samples.logfile import item

Event: TypeAlias = dict[str, Any]
Item: TypeAlias = Mapping[str, Mapping[str, Any]]

TABLE = "logfile_replica"
KEY = "PK"
_STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile/stream/2026-01-01T00:00:00.000"


@dataclass(frozen=True, slots=True)
class Workload:
    """One batch. `keys` is the number of keys that it changes: the least number of writes that can replicate it."""

    title: str
    records: int
    keys: int
    changes: Callable[[], Iterator[tuple[str, Item]]]

    @property
    def requests(self) -> int:
        """The least number of requests with 25 writes each; the workloads fit into 16 MB."""
        return -(-self.keys // 25)

    def event(self) -> Event:
        """Return the batch as Lambda's runtime creates it: parsed from text, so that no objects are shared."""
        records = [_record(n, name, image) for n, (name, image) in enumerate(self.changes())]
        event: Event = json.loads(json.dumps({"Records": records}))
        return event

    def ends_in(self) -> dict[str, Item | None]:
        """Return the last state of each key; None is a delete."""
        return {image[KEY]["S"]: None if name == "REMOVE" else image for name, image in self.changes()}


def _log_items(count: int) -> Iterator[Item]:
    return (item(row) for row in islice(rows(), count))


def _inserts(count: int) -> Iterator[tuple[str, Item]]:
    return (("INSERT", image) for image in _log_items(count))


def _large(count: int, size: int) -> Iterator[tuple[str, Item]]:
    # Log items with a text that fills them. Some of the text needs escaping, like real text.
    text = 'a line of text, "quoted", blåbær\n' * (size // 34)
    for image in _log_items(count):
        yield "INSERT", {**image, "body": {"S": text[: size - len(json.dumps(image))]}}


def _hot(keys: int, changes: int) -> Iterator[tuple[str, Item]]:
    items = tuple(_log_items(keys))
    for number in range(keys * changes):
        yield "MODIFY", {**items[number % keys], "bytessent": {"N": str(number)}}


def _deletes(count: int) -> Iterator[tuple[str, Item]]:
    return (("REMOVE", {KEY: image[KEY]}) for image in _log_items(count))


def _nested(count: int) -> Iterator[tuple[str, Item]]:
    for number, image in enumerate(_log_items(count)):
        members = [_binary(number, 16 + n) for n in range(3)]
        yield (
            "INSERT",
            {
                **image,
                "payload": {"B": _binary(number, 400)},
                "digests": {"BS": sorted(members)},
                "tags": {"SS": ["new", "seen", "x" * (number % 7 + 1)]},
                "samples": {"NS": ["1", "-2.5", str(number + 10)]},
                "seen": {"BOOL": True},
                "nothing": {"NULL": True},
                "history": {"L": [_visit(n) for n in range(6)]},
                "profile": {"M": {"address": {"M": {"lines": {"L": [{"S": "1 Road"}, {"B": members[0]}]}}}}},
            },
        )


def _visit(number: int) -> Mapping[str, Any]:
    return {
        "M": {"at": {"N": str(1_500_000_000 + number)}, "page": {"S": f"/{number}"}, "ok": {"BOOL": True}}
    }


def _binary(seed: int, size: int) -> str:
    return b64encode(bytes((seed * 31 + n * 7) % 256 for n in range(size))).decode()


def _record(number: int, event_name: str, image: Item) -> dict[str, Any]:
    data = {
        "ApproximateCreationDateTime": 1_767_225_600.0,
        "Keys": {KEY: image[KEY]},
        "SequenceNumber": str(100_000_000_000_000_000_000 + number),
        "SizeBytes": 500,
        "StreamViewType": "NEW_IMAGE",
    }
    return {
        "eventID": f"{number:032x}",
        "eventName": event_name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": data if event_name == "REMOVE" else {**data, "NewImage": image},
        "eventSourceARN": _STREAM,
    }


def _distinct(title: str, count: int, changes: Callable[[int], Iterator[tuple[str, Item]]]) -> Workload:
    return Workload(title, count, count, partial(changes, count))


WORKLOADS: Mapping[str, Workload] = {
    "log-100": _distinct("Log items, 100 records", 100, _inserts),
    "log-1000": _distinct("Log items, 1,000 records", 1000, _inserts),
    "1kb": _distinct("Items of 1 KB, 100 records", 100, partial(_large, size=1000)),
    "30kb": _distinct("Items of 30 KB, 100 records", 100, partial(_large, size=30_000)),
    "hot": Workload("Hot keys: 10 keys, 100 changes each", 1000, 10, partial(_hot, 10, 100)),
    "deletes": _distinct("Deletes, 100 records", 100, _deletes),
    "nested": _distinct("Binaries, sets, nested maps, 100 records", 100, _nested),
}
QUICK: Sequence[str] = ("log-100", "nested")

LARGEST: Mapping[str, Workload] = {
    "200 items of 30 KB (6 MB)": _distinct("Items of 30 KB, 200 records", 200, partial(_large, size=30_000)),
    "10,000 log items": _distinct("Log items, 10,000 records", 10_000, _inserts),
}
"""The limits of a batch: its number of records, and the 6 MB that Lambda passes to a function."""
