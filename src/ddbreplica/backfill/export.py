"""Read the keys in an export to S3, full or incremental, file by file. The exported images are old and not used.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import errno
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import ask
from ddbreplica.backfill.listing import PAGE, DamagedError, KeyPage
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.errors import TaskError
from ddbreplica.files.limits import (
    MAX_CHANGE,
    MAX_ENTRY,
    MAX_FILES,
    MAX_KEY_TEXT,
    MAX_LINE,
    MAX_MANIFEST,
    MAX_SMALL,
    MEMORY,
    MIB,
    key_within,
    room,
)
from ddbreplica.files.skim import Skim
from ddbreplica.files.temporary import no_room, temporary_file
from ddbreplica.model import Key, Refusal
from ddbreplica.records.decode import MalformedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUMMARY = "manifest-summary.json"
_FILES = "manifest-files.json"
_FILLED_LINE = re.compile(rb"[ \t\r]*+[^ \t\r\n][^\n]*+")
_BY_THIS_THREAD = TransferConfig(use_threads=False)
"""Download in the calling thread: other threads would buffer 25 MiB for each file."""

_FULL_EXPORT, _INCREMENTAL_EXPORT = "FULL_EXPORT", "INCREMENTAL_EXPORT"
_VERSION = "2023-08-01"
"""The version of an incremental export's manifests."""

_EXPORT_AGAIN = "export the table again, or leave out --from-export."
_MISSING = frozenset({"404", "NoSuchKey"})
_FULL = frozenset({errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""Errors of the temporary file, which do not mean that S3 sent damaged data."""

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
"""The exceptions of reading a file that is not a list of items."""


@dataclass(frozen=True, slots=True)
class Export:
    """A completed export. A full one has the table's items at `taken_at`.

    An incremental one has the items that changed from `since` until just before `taken_at`, with those that were
    deleted. `files` has the number of items of each file. `table_id` is None if the manifest lacks it.
    """

    url: str
    table_arn: str
    taken_at: datetime
    files: Mapping[str, int]
    since: datetime | None = None
    table_id: str | None = None

    @property
    def items(self) -> int:
        """The number of items in the export."""
        return sum(self.files.values())


def find(client: "S3Client", urls: Sequence[str]) -> tuple[Export, ...]:
    """Return the only export under each `s3://bucket/prefix`. Raises TaskError if there is not exactly one."""
    room, exports = _Room(MAX_MANIFEST, MAX_FILES), dict[str, Export]()
    for url in urls:
        export = _find(client, url, room)
        if export.url in exports:
            raise TaskError(f"the export in {export.url} is given twice.", hint="give each export once.")
        exports[export.url] = export
    return tuple(exports.values())


@dataclass(slots=True)
class _Room:
    """The bytes and the files that all file manifests may have together, less those that were read."""

    bytes: int
    files: int


def _find(client: "S3Client", url: str, room: _Room) -> Export:
    name, prefix = _place(url)
    bucket = Bucket(client, name, option="--from-export", is_of_stack=False)
    summaries, place = 0, ""
    for listed in bucket.list(prefix):
        if listed.name.rpartition("/")[2] == _SUMMARY:
            summaries, place = summaries + 1, listed.name.removesuffix(_SUMMARY)
    if summaries != 1:
        raise TaskError(
            f"expected one {_SUMMARY} under {url}, and found {summaries:,}.",
            hint=(
                "name the folder of one completed export, s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID; for several"
                " exports, repeat --from-export."
            ),
        )
    folder = f"s3://{bucket.name}/{place}"
    summary = bucket.read(place + _SUMMARY, most=MIB)
    files = bucket.read(place + _FILES, most=room.bytes)
    if summary is None or files is None:
        raise _damaged(folder, "one of its manifests is missing")
    if summary.is_cut or files.is_cut:
        raise _too_large(folder)
    try:
        export = _export(folder, summary.body, files.body, most_files=room.files)
    except _UNREADABLE as error:
        raise TaskError(f"the manifests in {folder} cannot be read.", hint=_EXPORT_AGAIN) from error
    room.bytes -= len(files.body)
    room.files -= len(export.files)
    return export


class Exported:
    """The keys of an export's items. Each file is a part."""

    def __init__(self, client: "S3Client", export: Export, key_names: Sequence[str]) -> None:
        """Read nothing yet. `key_names` are the names of the table's key attributes."""
        self._client = client
        self._export = export
        self._key_names = key_names
        self._member, self._longest = ("Item", MAX_LINE) if export.since is None else ("Keys", MAX_CHANGE)
        self.parts = tuple(export.files)

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """Return pages of keys, after the first `after` keys, without items of the source.

        The last page has no key; it follows only if the file has as many items as its manifest lists. Raises
        DamagedError for any other file, and TaskError for one that cannot be read now.
        """
        done, of = after or 0, self._export.files[part]
        with temporary_file() as file:  # a file may take longer than S3 keeps a connection open
            self._fetch(part, file)
            keys = self._keys(file, after=done, of=of)
            while piece := tuple(islice(keys, PAGE)):
                done += len(piece)
                yield KeyPage(piece, {}, done)
        if done != of:
            raise _of_other_length(done, of)
        yield KeyPage((), {}, None)

    def _fetch(self, part: str, file: Any) -> None:
        bucket, name = _place(part)

        def download() -> OSError | None:
            try:
                self._client.download_fileobj(bucket, name, file, Config=_BY_THIS_THREAD)
                file.seek(0)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                return error
            return None

        full = ask(download, refused=partial(_unreadable, part))
        if full is not None:
            raise no_room(part, full.strerror, directory=gettempdir()) from full

    def _keys(self, file: Any, *, after: int, of: int) -> Iterator[Key]:
        read = 0
        try:
            with gzip.open(file) as lines:
                while line := lines.readline(MAX_SMALL):
                    is_wanted = read >= after
                    # A line that is longer than MAX_SMALL is read to its end even if its key is not wanted.
                    key = self._key_of_line(line, lines) if is_wanted or not line.endswith(b"\n") else None
                    read += 1
                    if key is not None and is_wanted:
                        yield key
                    if read > of:  # the rest may be endless
                        return
        except _UNREADABLE as error:
            raise DamagedError(f"is damaged: line {read + 1:,} cannot be read") from error
        if read < after:
            raise _of_other_length(read, of)

    def _key_of_line(self, line: bytes, rest: gzip.GzipFile) -> Key:
        """Return the key of the line that begins with `line`. The rest of a long line is read into reserved memory."""
        if line.endswith(b"\n") or len(line) < MAX_SMALL:
            return self._key(line)
        with MEMORY.take(self._longest):
            whole, size = room(self._longest), 0
            while line:
                whole[size : size + len(line)] = line  # raises ValueError if the line is too long
                size += len(line)
                line = b"" if line.endswith(b"\n") else rest.readline(MAX_SMALL)
            return self._key(whole[:size])

    def _key(self, line: bytes | memoryview) -> Key:
        skim, key = Skim(line), {}
        for member in skim.members():
            if member == self._member:
                key = {name: skim.value(MAX_KEY_TEXT) for name in skim.members() if name in self._key_names}
        skim.end()
        return key_within({name: key[name] for name in self._key_names})


def _unreadable(part: str, refusal: Refusal) -> TaskError:
    if refusal.code in _MISSING:
        return TaskError(f"{part} does not exist.", hint=_EXPORT_AGAIN)
    return explain(refusal, doing=f"{part} cannot be read")


def _export(folder: str, summary: memoryview, files: memoryview, *, most_files: int) -> Export:
    whole = _small(bytes(summary))
    is_incremental = _is_incremental(folder, whole)
    data = _shared_data(folder) if is_incremental else f"{folder}data/"
    export = Export(
        url=folder,
        table_arn=whole["tableArn"],
        taken_at=_time(whole["exportToTime" if is_incremental else "exportTime"]),
        files=_counts(folder, data, files, most_files=most_files),
        since=_time(whole["exportFromTime"]) if is_incremental else None,
        table_id=whole["tableId"] if is_incremental else whole.get("tableId"),
    )
    # Otherwise a list of files that was cut off would pass for a smaller export.
    if export.items != _count(whole):
        raise _damaged(
            folder, f"{_FILES} counts {export.items:,} items, and {_SUMMARY} {whole['itemCount']:,}"
        )
    if export.since is not None and export.since >= export.taken_at:
        raise _damaged(folder, "it ends before it begins")
    return export


def _is_incremental(folder: str, whole: Mapping[str, Any]) -> bool:
    """Return whether the summary is of an incremental export. Raises TaskError if it is of an unknown kind."""
    kind, form = whole.get("exportType", _FULL_EXPORT), whole["outputFormat"]
    if kind not in (_FULL_EXPORT, _INCREMENTAL_EXPORT) or form != "DYNAMODB_JSON":
        raise TaskError(
            f"the export in {folder} is {kind} in {form}; it must be {_FULL_EXPORT} or"
            f" {_INCREMENTAL_EXPORT} in DYNAMODB_JSON.",
            hint=_EXPORT_AGAIN,
        )
    is_incremental: bool = kind == _INCREMENTAL_EXPORT
    if is_incremental and whole["version"] != _VERSION:
        raise TaskError(
            f"the export in {folder} is {kind} of version {whole['version']}; it must be of version {_VERSION}.",
            hint="use a newer version of ddbreplica, or leave out --from-export.",
        )
    # An item that a filter excludes would never be copied. The member's name is the one of the API.
    if whole.get("filterSpecification"):
        raise TaskError(f"the export in {folder} has a filter, so items may be missing.", hint=_EXPORT_AGAIN)
    return is_incremental


def _shared_data(folder: str) -> str:
    """Return the data folder beside this folder: all incremental exports with one prefix write into it."""
    bucket, place = _place(folder)
    above, slash, _ = place.removesuffix("/").rpartition("/")
    return f"s3://{bucket}/{above}{slash}data/"


def _counts(folder: str, data: str, files: memoryview, *, most_files: int) -> Mapping[str, int]:
    """Return the number of items of each file that the file manifest lists."""
    counts: dict[str, int] = {}
    for line in _FILLED_LINE.finditer(files):
        if len(counts) == most_files:
            raise _too_large(folder)
        entry = _small(line[0])
        # Names in a manifest may begin with the prefix or not; the files are always in this folder.
        name = f"{data}{_ascii(entry['dataFileS3Key'].rpartition('/')[2])}"
        if name in counts:
            raise _damaged(folder, "its manifest lists a file twice")
        counts[name] = _count(entry)
    return counts


def _small(line: bytes) -> Any:
    if len(line) > MAX_ENTRY:
        raise ValueError(len(line))
    return json.loads(line)


def _ascii(name: str) -> str:
    """Return the name. Raises ValueError if it is not ASCII, as each name of DynamoDB is."""
    return name.encode("ascii").decode()


def _count(of: Mapping[str, Any]) -> int:
    count: object = of["itemCount"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(count)
    return count


def _time(text: str) -> datetime:
    """Return a time in UTC. A text without a zone is in UTC."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _of_other_length(items: int, of: int) -> DamagedError:
    """Return the error for a file of a wrong number of items. Reading stopped one item after `of`, or at the end."""
    holds = f"{items:,} items or more" if items > of else f"{items:,} items"
    return DamagedError(f"is damaged: it has {holds}, and the manifest lists {of:,}")


def _too_large(folder: str) -> TaskError:
    return TaskError(
        f"the manifests in {folder} are too large.",
        hint="name an export that DynamoDB has written.",
    )


def _damaged(folder: str, why: str) -> TaskError:
    return TaskError(f"the export in {folder} is damaged: {why}.", hint=_EXPORT_AGAIN)


def _place(url: str) -> tuple[str, str]:
    bucket, _, name = url.removeprefix("s3://").partition("/")
    return bucket, name
