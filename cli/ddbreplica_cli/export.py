"""A full export of a table in S3 → the keys of its items, file by file. Its images, which are old, are not used.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import errno
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.model import Key
from ddbreplica_cli.asking import ask
from ddbreplica_cli.backfilling import PAGE, DamagedError, Page
from ddbreplica_cli.bucket import Bucket
from ddbreplica_cli.errors import CommandError, explain
from ddbreplica_cli.temporary import no_room, temporary_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_LINE = 16 * 1024 * 1024
"""Bytes of an item: 400 KB, each of which JSON spells in up to six characters, and much to spare."""

_SUMMARY = "manifest-summary.json"
_FILES = "manifest-files.json"
_EXPORT_AGAIN = "export the table again, or leave out --from-export."
_FULL = frozenset({errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""The errors of a temporary file, which say nothing of what S3 has sent."""

_UNREADABLE = (
    AttributeError,
    EOFError,
    KeyError,
    MalformedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What a file that is no list of items makes its reader raise."""


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
    name, prefix = _place(url)
    bucket = Bucket(client, name, option="--from-export")
    names = (listed.name for listed in bucket.list(prefix))
    summaries = [name for name in names if name.rpartition("/")[2] == _SUMMARY]
    if len(summaries) != 1:
        raise CommandError(
            f"expected one {_SUMMARY} under {url}, and found {len(summaries)}.",
            hint="name the folder of one export that has ended: s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID.",
        )
    place = summaries[0].removesuffix(_SUMMARY)
    folder = f"s3://{bucket.name}/{place}"
    summary, files = (bucket.read(place + name) for name in (_SUMMARY, _FILES))
    if summary is None or files is None:
        raise _damaged(folder, "one of its manifests is missing")
    try:
        return _export(folder, summary.body, files.body)
    except _UNREADABLE as error:
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

        The last page has no key, and comes only of a file that was read to its end and is as its manifest says.
        Raises DamagedError for any other file, and CommandError for one that cannot be read now.
        """
        done, of = after or 0, self._export.files[part]
        with temporary_file() as file:  # it may be worked on for longer than S3 keeps a connection
            self._fetch(part, file)
            keys = self._keys(file, after=done, of=of)
            while piece := tuple(islice(keys, PAGE)):
                done += len(piece)
                yield Page(piece, {}, done)
        if done != of:
            raise _of_other_length(done, of)
        yield Page((), {}, None)

    def _fetch(self, part: str, file: Any) -> None:
        bucket, name = _place(part)

        def download() -> OSError | None:
            try:
                self._client.download_fileobj(bucket, name, file)
                file.seek(0)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                return error
            return None

        full = ask(download, refused=partial(explain, doing=f"{part} cannot be read"))
        if full is not None:
            raise no_room(part, full.strerror, directory=gettempdir()) from full

    def _keys(self, file: Any, *, after: int, of: int) -> Iterator[Key]:
        read = 0
        try:
            with gzip.open(file) as lines:
                for line in iter(partial(lines.readline, MAX_LINE), b""):
                    key = self._key(line) if read >= after else None
                    read += 1
                    if key is not None:
                        yield key
        except _UNREADABLE as error:
            raise DamagedError(f"is damaged: line {read + 1:,} cannot be read") from error
        if read < after:
            raise _of_other_length(read, of)

    def _key(self, line: bytes) -> Key:
        item = json.loads(line)["Item"]
        return key_of({name: item[name] for name in self._key_names})


def _export(folder: str, summary: bytes, files: bytes) -> Export:
    whole = json.loads(summary)
    kind = whole.get("exportType", "FULL_EXPORT"), whole["outputFormat"]
    if kind != ("FULL_EXPORT", "DYNAMODB_JSON"):
        raise CommandError(
            f"the export in {folder} is {' in '.join(kind)}, and has to be FULL_EXPORT in DYNAMODB_JSON.",
            hint=_EXPORT_AGAIN,
        )
    entries = [json.loads(line) for line in files.decode().splitlines() if line.strip()]
    # Whether the names in a manifest begin with the prefix depends on who wrote it; the folder is always this.
    counts = [(f"{folder}data/{e['dataFileS3Key'].rpartition('/')[2]}", _count(e)) for e in entries]
    export = Export(
        url=folder, table_arn=whole["tableArn"], taken_at=_time(whole["exportTime"]), files=dict(counts)
    )
    if len(export.files) < len(counts):
        raise _damaged(folder, "its manifest names a file twice")
    if export.items != _count(whole):
        raise _damaged(folder, f"its files hold {export.items:,} items and not {whole['itemCount']:,}")
    return export


def _count(of: Mapping[str, Any]) -> int:
    count: object = of["itemCount"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(count)
    return count


def _time(text: str) -> datetime:
    """A time is in UTC unless it names a zone."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _of_other_length(items: int, of: int) -> DamagedError:
    return DamagedError(f"is damaged: it holds {items:,} items, and its manifest says {of:,}")


def _damaged(what: str, why: str) -> CommandError:
    return CommandError(f"{what} is not whole: {why}.", hint=_EXPORT_AGAIN)


def _place(url: str) -> tuple[str, str]:
    bucket, _, name = url.removeprefix("s3://").partition("/")
    return bucket, name
