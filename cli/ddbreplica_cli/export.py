"""A full export of a table in S3 → the keys of its items, file by file. Its images, which are old, are not used.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.model import Key
from ddbreplica.refusal import refusal_of
from ddbreplica_cli.backfilling import PAGE, Page
from ddbreplica_cli.errors import CommandError, explain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUMMARY = "manifest-summary.json"
_FILES = "manifest-files.json"
_EXPORT_AGAIN = "export the table again, or leave out --from-export."


@dataclass(frozen=True, slots=True)
class Export:
    """An export that is whole. `taken_at` is the moment whose state it holds; `files` has the items of each file."""

    url: str
    table_arn: str
    taken_at: datetime
    files: Mapping[str, int]

    @property
    def items(self) -> int:
        """How many items the table had."""
        return sum(self.files.values())


def find(client: "S3Client", url: str) -> Export:
    """The only export under `s3://bucket/prefix`. Raises CommandError."""
    bucket, prefix = _place(url)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = (entry["Key"] for page in pages for entry in page.get("Contents", ()))
    summaries = [name for name in names if name.rpartition("/")[2] == _SUMMARY]
    if len(summaries) != 1:
        raise CommandError(
            f"expected one {_SUMMARY} under {url}, and found {len(summaries)}.",
            hint="name the folder of one export that has ended: s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID.",
        )
    folder = f"s3://{bucket}/{summaries[0].removesuffix(_SUMMARY)}"
    try:
        return _export(folder, _text(client, folder + _SUMMARY), _text(client, folder + _FILES))
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"the manifests in {folder} cannot be read.", hint=_EXPORT_AGAIN) from error


class Exported:
    """The keys of an export's items, a part a file."""

    def __init__(self, client: "S3Client", export: Export, key_names: Sequence[str]) -> None:
        """`key_names` are those of the table's key attributes."""
        self._client = client
        self._export = export
        self._key_names = key_names
        self.parts = tuple(export.files)

    def pages(self, part: str, after: Any) -> Iterator[Page]:
        """The keys after so many; nothing is known of their states at the source.

        Raises CommandError for a file that is not whole.
        """
        done, of = after or 0, self._export.files[part]
        with TemporaryFile() as file:  # it may be worked on for longer than S3 keeps a connection
            self._fetch(part, file)
            with gzip.open(file) as lines:
                items = islice(lines, done, None)
                while keys := tuple(self._keys(part, islice(items, PAGE))):
                    done += len(keys)
                    yield Page(keys, {}, done if done < of else None)
        if done != of:
            raise _damaged(part, f"it holds {done:,} items and not {of:,}")

    def _fetch(self, part: str, file: Any) -> None:
        bucket, name = _place(part)
        try:
            self._client.download_fileobj(bucket, name, file)
        except (BotoCoreError, ClientError) as error:
            raise explain(refusal_of(error), doing=f"{part} cannot be read") from error
        file.seek(0)

    def _keys(self, part: str, lines: Iterable[bytes]) -> Iterator[Key]:
        try:
            for line in lines:
                item = json.loads(line)["Item"]
                yield key_of({name: item[name] for name in self._key_names})
        except (EOFError, KeyError, OSError, TypeError, ValueError, MalformedError) as error:
            raise _damaged(part, "a line of it cannot be read") from error


def _export(folder: str, summary: str, files: str) -> Export:
    whole = json.loads(summary)
    kind = whole.get("exportType", "FULL_EXPORT"), whole["outputFormat"]
    if kind != ("FULL_EXPORT", "DYNAMODB_JSON"):
        raise CommandError(
            f"the export in {folder} is {' in '.join(kind)}, and has to be FULL_EXPORT in DYNAMODB_JSON.",
            hint=_EXPORT_AGAIN,
        )
    entries = [json.loads(line) for line in files.splitlines() if line.strip()]
    export = Export(
        url=folder,
        table_arn=whole["tableArn"],
        taken_at=datetime.fromisoformat(whole["exportTime"]),
        # Whether the names in a manifest begin with the prefix depends on who wrote it; the folder is always this.
        files={f"{folder}data/{e['dataFileS3Key'].rpartition('/')[2]}": e["itemCount"] for e in entries},
    )
    if export.items != whole["itemCount"]:
        raise _damaged(folder, f"its files hold {export.items:,} items and not {whole['itemCount']:,}")
    return export


def _damaged(what: str, why: str) -> CommandError:
    return CommandError(f"{what} is not whole: {why}.", hint=_EXPORT_AGAIN)


def _text(client: "S3Client", url: str) -> str:
    bucket, name = _place(url)
    return client.get_object(Bucket=bucket, Key=name)["Body"].read().decode()


def _place(url: str) -> tuple[str, str]:
    bucket, _, name = url.removeprefix("s3://").partition("/")
    return bucket, name
