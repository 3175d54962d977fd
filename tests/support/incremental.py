"""Incremental exports in the documented shape: manifests in a folder of each export, files in one that all share.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SHARED = "exports/AWSDynamoDB/data"
"""The folder of all files of the exports with this prefix."""

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
TABLE_ID = "11111111-2222-3333-4444-555555555555"

Put = Callable[[str, bytes], object]
"""Stores an object of a bucket."""


@dataclass(frozen=True, slots=True)
class Window:
    """An incremental export of what changed in a window. `id` is unique; its files are `id-0.json.gz` and so on."""

    id: str
    since: datetime
    until: datetime
    prefix: str = "exports"

    @property
    def place(self) -> str:
        """The folder of the manifests in the bucket."""
        return f"{self.prefix}/AWSDynamoDB/{self.id}"

    def file(self, number: int) -> str:
        """Return the name of one of its files in the bucket."""
        return f"{self.prefix}/AWSDynamoDB/data/{self.id}-{number}.json.gz"

    def store(self, put: Put, *files: Sequence[Mapping[str, Any]], lacking: int = 0, **summary: Any) -> None:
        """Store an export whose files have these changes. Each lacks `lacking` of those that the manifest counts.

        A member of the summary that is None is left out.
        """
        entries = []
        for number, changed in enumerate(files):
            put(self.file(number), gzip.compress(lines(changed), mtime=0))
            name = self.file(number).removeprefix(f"{self.prefix}/")
            entries.append({"itemCount": len(changed) + lacking, "etag": "e-1", "dataFileS3Key": name})
        whole = {
            "version": "2023-08-01",
            "exportArn": f"{ARN}/export/{self.id}",
            "tableArn": ARN,
            "tableId": TABLE_ID,
            "exportFromTime": written(self.since),
            "exportToTime": written(self.until),
            "itemCount": sum(len(changed) + lacking for changed in files),
            "outputFormat": "DYNAMODB_JSON",
            "outputView": "NEW_AND_OLD_IMAGES",
            "exportType": "INCREMENTAL_EXPORT",
            **summary,
        }
        present = {name: value for name, value in whole.items() if value is not None}
        manifest = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        put(f"{self.place}/manifest-files.json", manifest.encode())
        put(f"{self.place}/manifest-summary.json", json.dumps(present).encode())


def written(moment: datetime) -> str:
    """Return a moment as a manifest has it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def inserted(key: str) -> Mapping[str, Any]:
    """Return the line of an item that was new."""
    return {**_change(key), "NewImage": _image(key)}


def updated(key: str) -> Mapping[str, Any]:
    """Return the line of an item that was changed, with both images."""
    return {**_change(key), "OldImage": _image(key), "NewImage": _image(key)}


def deleted(key: str) -> Mapping[str, Any]:
    """Return the line of an item that was deleted, with its old image."""
    return {**_change(key), "OldImage": _image(key)}


def gone(key: str) -> Mapping[str, Any]:
    """Return the line of an item that was deleted, in an export of new images only."""
    return {**_change(key), "NewImage": None}


KINDS = (inserted, updated, deleted, gone)


def changes(keys: str) -> Sequence[Mapping[str, Any]]:
    """Return a change of each of these letters, of all kinds in turn."""
    return [KINDS[number % len(KINDS)](key) for number, key in enumerate(keys)]


def lines(changed: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the content of a file."""
    return b"".join(_lines(changed))


def _lines(changed: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    for change in changed:
        yield json.dumps(change, separators=(",", ":")).encode() + b"\n"


def _change(key: str) -> dict[str, Any]:
    metadata = {"WriteTimestampMicros": {"N": "1790000100000001"}}
    return {"Metadata": metadata, "Keys": {"PK": {"S": key}}}


def _image(key: str) -> Mapping[str, Any]:
    return {"PK": {"S": key}, "old": {"BOOL": True}}
