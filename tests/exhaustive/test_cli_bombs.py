"""A command reads or refuses any object in a bucket, reports refused objects, and uses at most 256 MB of memory.

The command is a separate process that uses moto on a loopback port.
"""

import gzip
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from ddbreplica.bucket.quarantine import _body as quarantine_body
from ddbreplica.files.limits import MAX_CHANGE, MAX_FILES, MAX_LINE, MAX_OBJECT, MAX_PAYLOAD
from ddbreplica.model import Quarantined
from tests.support.cli import REPLICA, SOURCE, Tables
from tests.support.exported import FOLDER
from tests.support.incremental import Window, inserted
from tests.support.kept_records import CREATED, ON_FAILURE, QUARANTINE, KeptRecords, recreate_source
from tests.support.on_failure import DiscardedBatch, on_failure_object
from tests.support.records import put
from tests.support.served import served
from tests.support.weighed import Weighed, weighed

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process"),
]

MIB = 1024 * 1024
MOST = 256e6 / MIB
EVENT = 6 * MIB
"""The size of the largest event that Lambda sends, in bytes."""

ITEM = 400 * 1024
"""The size of the largest item, in bytes."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    with served() as url:
        yield url


def filled(unit: str, size: int) -> str:
    """Return at most `size` bytes of whole repetitions of `unit`."""
    return unit * (size // len(unit.encode()))


def kept(record: Any, **more: Any) -> bytes:
    """Return the content of an object that the function puts into quarantine."""
    reason = more.pop("reason", "refused by the replica: why")
    return quarantine_body(
        Quarantined(0, None, None, record, reason, "ValidationException"), clock_ahead_seconds=0, **more
    )


def discarded(payload: str, *, ascii_only: bool = True) -> bytes:
    """Return the content of an object that Lambda puts into the on-failure bucket, with any text as the event."""
    batch = DiscardedBatch([put(1, "a")], "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
    _, text = on_failure_object(batch, now=1.7940960e9, name="n")
    return json.dumps(json.loads(text) | {"payload": payload}, ensure_ascii=ascii_only).encode()


def record(pk: str, image: str) -> str:
    """Return a record with any text as its image."""
    return json.dumps(put(1, pk)).replace('"NewImage": {', f'"NewImage": {{"v": {image}, "w": {image}, ', 1)


def event(*records: str) -> str:
    return '{"Records": [' + ", ".join(records) + "]}"


class Run:
    """Both buckets, and runs of `redrive` on them."""

    def __init__(self, kept_records: KeptRecords, url: str, directory: Path) -> None:
        self.kept_records = kept_records
        self._url = url
        self._directory = directory

    def put(self, bucket: str, name: str, body: bytes, *, age: float = 3600) -> str:
        prefix = "aws/lambda/" if bucket == ON_FAILURE else f"quarantine/{REPLICA}/"
        self.kept_records.put(bucket, prefix + name, body)
        self.kept_records.make_older(bucket, prefix + name, age)
        return prefix + name

    def redrive(self, *more: str) -> tuple[Weighed, Mapping[str, str]]:
        """Run `redrive`, and return its result and the outcome of each object that stays."""
        done = self.weighed("--without-mapping", "--transform", "none", *more)
        left = {left["object"].split("/", 3)[3]: left["outcome"] for left in done.document["left"]}
        return done, left

    def weighed(self, *more: str) -> Weighed:
        return weighed(
            self._directory,
            *("redrive", "--json", "--endpoint-url", self._url),
            *("--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE, *more),
            environment={"AWS_DEFAULT_REGION": "us-east-1"},
        )


@pytest.fixture
def run(kept_records: KeptRecords, url: str, tmp_path: Path) -> Run:
    return Run(kept_records, url, tmp_path)


TINY = filled("[],", 8 * MIB)
BOMBS: Mapping[str, bytes] = {
    "elements": f'{{"Records": [{TINY}[]]}}'.encode(),
    "objects": ("[" + filled('{"a":1},', 8 * MIB) + "{}]").encode(),
    "deep": b"[" * 8 * MIB,
    "deep objects": filled('{"a":', 8 * MIB).encode(),
    "50,000 brackets": b"[" * 50_000 + b"]" * 50_000,
    "string": b'"' + b"x" * 8 * MIB + b'"',
    "strings": ("[" + filled('"ab",', 8 * MIB) + "1]").encode(),
    "numbers": ("[" + filled("1.5,", 8 * MIB) + "1]").encode(),
    "number": b"1" * 8 * MIB,
    "no end": b'{"record": "' + b"x" * 8 * MIB,
    "wide characters": ('"' + "x" * 8 * MIB + "🎉" + '"').encode(),
    "names": ("{" + "".join(f'"{number:07}":1,' for number in range(700_000)) + '"z":1}').encode(),
}
"""Contents that neither Lambda nor the function writes."""

INNER: Mapping[str, bytes] = {
    "elements": discarded(f'{{"Records": [{TINY[: 7 * MIB]}[]]}}'),
    "too many records": discarded(event(*["{}"] * 200_000)),
    "too many keys": discarded(event(*['{"dynamodb":{"Keys":{"P":{"S":"a"}}}}'] * 150_000)),
    "escaped quotes": discarded(filled('"', 12 * MIB)),
    "escaped": discarded(filled("\x01", 5 * MIB)),
    "deep": discarded('{"Records": ' + "[" * 7 * MIB),
    "wide characters": discarded("x" * 7 * MIB + "🎉", ascii_only=False),
    "no json": discarded("x" * MAX_PAYLOAD),
    "condition": discarded("{}").replace(b"RetryAttemptsExhausted", b"x" * 8 * MIB),
}
"""Events that no stream delivers."""


class TestRedrive:
    def test_contents_that_no_writer_creates_are_reported_and_stay(self, run: Run) -> None:
        names = [
            run.put(bucket, name, body) for bucket in (QUARANTINE, ON_FAILURE) for name, body in BOMBS.items()
        ]
        names += [run.put(ON_FAILURE, f"{name} within", body) for name, body in INNER.items()]

        done, left = run.redrive()

        assert left == dict.fromkeys(names, "unreadable")
        assert done.status == 1
        assert done.peak < MOST
        assert sorted(run.kept_records.names(QUARANTINE) + run.kept_records.names(ON_FAILURE)) == sorted(
            names
        )

    @pytest.mark.parametrize(
        ("body", "times"), [(BOMBS["elements"], 24), (INNER["escaped"], 6)], ids=["8 MiB", "30 MiB"]
    )
    def test_many_objects_in_one_run(self, run: Run, body: bytes, times: int) -> None:
        names = [run.put(ON_FAILURE, f"{number:02}", body) for number in range(times)]

        done, left = run.redrive()

        assert left == dict.fromkeys(names, "unreadable")
        assert done.peak < MOST

    def test_an_object_above_the_size_limit_is_not_read(self, run: Run) -> None:
        names = [
            run.put(ON_FAILURE, "64 MiB", b"[" * 64 * MIB),
            run.put(QUARANTINE, "a byte more", b"[" * (MAX_OBJECT + 1)),
        ]
        names += [
            run.put(ON_FAILURE, f"as large as allowed {number}", b"[" * MAX_OBJECT) for number in range(3)
        ]

        done, left = run.redrive()

        assert left == dict.fromkeys(names, "unreadable")
        reasons = {each["reason"] for each in done.document["left"]}
        assert reasons == {
            "it is not JSON",
            f"it is too large for a quarantined record or a discarded batch (at most {MAX_OBJECT:,} bytes)",
        }
        assert done.peak < MOST

    def test_a_search_reports_objects_that_it_cannot_read(self, run: Run) -> None:
        for name, body in BOMBS.items():
            run.put(QUARANTINE, name, body)
        for name, body in INNER.items():
            run.put(ON_FAILURE, name, body)
        run.put(QUARANTINE, "found", kept(put(1, "a")))
        run.put(ON_FAILURE, "64 MiB", b"[" * 64 * MIB)

        done = run.weighed("--find", '{"PK": {"S": "a"}}')

        assert [each["object"].rpartition("/")[2] for each in done.document["found"]] == ["found"]
        assert len(done.document["unread"]) == len(BOMBS) + len(INNER) + 1
        assert done.peak < MOST

    def test_only_the_key_of_a_record_matters(self, run: Run) -> None:
        """A record with a valid key and any other content is reconciled, and its object is moved."""
        for name, image in {
            "elements": f"[{TINY[: 2 * MIB]}[]]",
            "deep": "[" * 50_000 + "]" * 50_000,
            "objects": "[" + filled('{"a":{}},', 2 * MIB) + "{}]",
            "names": "{" + "".join(f'"{number:06}":1,' for number in range(200_000)) + '"z":1}',
        }.items():
            run.put(ON_FAILURE, name, discarded(event(record("a", image))))
            run.put(QUARANTINE, name, f'{{"schema": 1, "record": {record("a", image)}}}'.encode())

        done, left = run.redrive()

        assert (left, done.document["healed"], done.status) == ({}, 8, 0)
        assert done.peak < MOST

    def test_the_listed_keys_of_many_objects_are_limited_by_memory(self, run: Run) -> None:
        """All keys wait, so that their objects stay."""
        body = discarded(event(*(record(f"{number:06}" + "x" * 1950 + "🎉", "1") for number in range(1400))))
        names = [run.put(ON_FAILURE, f"{number:02}", body, age=0) for number in range(16)]

        done, left = run.redrive()

        assert left == dict.fromkeys(names, "waiting")
        assert {len(each["keys"]) + each["more_keys"] for each in done.document["left"]} == {1400}
        assert done.peak < MOST


def listed(unit: str, size: int) -> str:
    """Return a list with `size` bytes by DynamoDB's count: 3 for the list, and 1 plus its own size per element."""
    return '{"L":[' + ",".join([unit] * (size - 3)) + "]}"


EMPTY = listed('{"S":""}', ITEM - 100)
CONTROL = json.dumps({"S": "\x01" * (ITEM - 100)})
LARGEST_IMAGES: Mapping[str, str] = {
    "empty strings": EMPTY,
    "control characters": CONTROL,
    "nulls": listed('{"NULL":true}', (ITEM - 100) // 2),
    "accents": json.dumps({"S": "é" * (ITEM // 2 - 100)}),
    "emoji": json.dumps({"S": "🎉" * (ITEM // 4 - 100)}),
    "bytes": json.dumps({"B": "A" * (ITEM // 3 * 4 - 100)}),
    "set": json.dumps({"SS": [f"{number:04}" for number in range(10_000)]}),
}


ESCAPED = [
    ("é", "raw"),
    ("é", "ascii"),
    ("🎉", "raw"),
    ("🎉", "ascii"),
    ('"', "ascii"),
    ("\\", "ascii"),
    ("\x01", "ascii"),
    ("<", "html"),
]
"""The content of an event's items, and how the event's JSON is escaped."""


class TestLegitimate:
    """The largest objects that the function and Lambda can put into a bucket."""

    @pytest.fixture(autouse=True)
    def _items(self, tables: Tables) -> None:
        tables.put(SOURCE, "a", v={"N": "2"})

    def test_a_record_with_two_of_the_largest_images(self, run: Run, tables: Tables) -> None:
        for name, image in LARGEST_IMAGES.items():
            run.put(QUARANTINE, name, kept(json.loads(record("a", image))))

        done, left = run.redrive()

        assert (left, done.document["healed"], done.status) == ({}, len(LARGEST_IMAGES), 0)
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert done.peak < MOST

    def test_a_batch_of_the_largest_event_with_any_escaping(self, run: Run, tables: Tables) -> None:
        """Some writers escape `<` too (`html`), which takes six bytes instead of one."""
        for number, (image, writer) in enumerate(ESCAPED):
            value = json.dumps({"S": filled(image, ITEM // 16)}, ensure_ascii=False)
            one = len(record("a", value).encode())
            payload = event(*(record("a", value) for _ in range(EVENT // (one + 2) - 1)))
            assert EVENT * 0.85 < len(payload.encode()) <= EVENT
            body = discarded(payload, ascii_only=writer == "ascii")
            if writer == "html":
                body = body.replace(b"<", rb"\u003c")
                assert len(body) > 4.5 * EVENT
            run.put(ON_FAILURE, f"{number}", body)

        done, left = run.redrive()

        assert (left, done.document["healed"], done.status) == ({}, len(ESCAPED), 0)
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert done.peak < MOST

    def test_a_batch_of_the_largest_number_of_records(self, run: Run) -> None:
        records = [f'{{"dynamodb":{{"Keys":{{"PK":{{"S":"{number % 200}"}}}}}}}}' for number in range(10_000)]
        run.put(ON_FAILURE, "most", discarded(event(*records)))

        done, left = run.redrive()

        assert (left, done.document["keys_healed"], done.status) == ({}, 200, 0)
        assert done.peak < MOST

    def test_the_largest_keys(self, run: Run, tables: Tables) -> None:
        for size in (2048, 2049):
            run.put(
                QUARANTINE, str(size), kept(json.loads(record("é" * (size // 2) + "x" * (size % 2), "1")))
            )

        done, left = run.redrive()

        assert left == {f"quarantine/{REPLICA}/2049": "keyless"}
        assert done.document["healed"] == 1


class Export:
    """An export in a bucket, and runs of `backfill` from it."""

    def __init__(self, url: str, directory: Path) -> None:
        self.client = boto3.client("s3", region_name="us-east-1")
        self.client.create_bucket(Bucket="bucket")
        self._url = url
        self._directory = directory

    def put(self, name: str, body: bytes) -> None:
        self.at_the_top(f"{FOLDER}/{name}", body)

    def at_the_top(self, name: str, body: bytes) -> None:
        """Put an object with this whole name."""
        self.client.put_object(Bucket="bucket", Key=name, Body=body)

    def write(self, *files: bytes, counts: Sequence[int] | None = None, **more: bytes) -> None:
        """Put compressed files, by default of one item each, and manifests, by default matching ones."""
        counted = counts or [1] * len(files)
        entries = []
        for number, (file, items) in enumerate(zip(files, counted, strict=True)):
            self.put(f"data/{number}.json.gz", file)
            entries.append(
                json.dumps({"itemCount": items, "dataFileS3Key": f"x/data/{number}.json.gz"}) + "\n"
            )
        summary = {
            "tableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{SOURCE}",
            "exportTime": "2099-11-22T12:00:00.000Z",
            "outputFormat": "DYNAMODB_JSON",
            "itemCount": sum(counted),
        }
        self.put("manifest-files.json", more.get("files", "".join(entries).encode()))
        self.put("manifest-summary.json", more.get("summary", json.dumps(summary).encode()))

    def backfill(self, *more: str, folders: Sequence[str] = (FOLDER,)) -> Weighed:
        return weighed(
            self._directory,
            *("backfill", "--without-mapping", "--transform", "none", "--json", "--endpoint-url", self._url),
            *(word for folder in folders for word in ("--from-export", f"s3://bucket/{folder}")),
            *more,
            environment={"AWS_DEFAULT_REGION": "us-east-1"},
        )


@pytest.fixture
def export(tables: Tables, url: str, tmp_path: Path) -> Export:
    recreate_source(CREATED)
    tables.put(SOURCE, "a", v={"N": "2"})
    return Export(url, tmp_path)


def packed(*pieces: bytes, times: int = 1) -> bytes:
    """Return repeated pieces compressed, without having all of them in memory."""
    written = io.BytesIO()
    with gzip.GzipFile(fileobj=written, mode="wb", compresslevel=1, mtime=0) as file:
        for piece in pieces[:1]:
            file.write(piece)
        for _ in range(times):
            for piece in pieces[1:2]:
                file.write(piece)
        for piece in pieces[2:]:
            file.write(piece)
    return written.getvalue()


ENDLESS = {
    "without end": packed(b"", b"x" * MIB, times=512),
    "brackets": packed(b"", b"[" * MIB, times=64),
    "elements": packed(b'{"Item": {"PK": {"S": "a"}, "v": [', b"[]," * (MIB // 3), b"[]]}}\n", times=64),
    "string": packed(b'{"Item": {"PK": {"S": "', b"x" * MIB, b'"}}}\n', times=64),
    "just above": packed(b'{"Item": {"PK": {"S": "a"}, "v": "', b"x" * MIB, b'"}}\n', times=MAX_LINE // MIB),
}
LONG = MAX_LINE // MIB - 1
WITHIN = {
    "elements": packed(b'{"Item": {"PK": {"S": "a"}, "v": [', b"[]," * (MIB // 3), b"[]]}}\n", times=LONG),
    "brackets": packed(
        b'{"Item": {"v": ', b"[" * MIB, b"", b"]" * MIB * 3, b', "PK": {"S": "a"}}}\n', times=3
    ),
    "string": packed(b'{"Item": {"PK": {"S": "a"}, "v": "', b"x" * MIB, b'"}}\n', times=LONG),
    "objects": packed(b'{"Item": {"PK": {"S": "a"}, "v": [', b'{"a":1},' * (MIB // 8), b"0]}}\n", times=LONG),
}


class TestExport:
    def test_a_line_that_is_too_long_is_not_read_to_its_end(self, export: Export) -> None:
        export.write(*ENDLESS.values())

        done = export.backfill("--segments", "8")

        assert done.status == 2
        assert [each["file"].rpartition("/")[2] for each in done.document["damaged"]] == [
            f"{number}.json.gz" for number in range(len(ENDLESS))
        ]
        assert {each["reason"] for each in done.document["damaged"]} == {"is damaged: line 1 cannot be read"}
        assert done.peak < MOST

    def test_only_the_key_of_a_record_matters(self, export: Export, tables: Tables) -> None:
        export.write(*[file for file in WITHIN.values() for _ in range(3)])

        done = export.backfill("--segments", "16")

        assert (done.status, done.document["items"]) == (0, 12)
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert done.peak < MOST

    def test_no_more_lines_are_read_than_the_manifest_counts(self, export: Export) -> None:
        line = b'{"Item": {"PK": {"S": "a"}}}\n'
        export.write(packed(b"", line * (MIB // len(line)), times=200), counts=[10])

        done = export.backfill()

        assert done.document["damaged"][0]["reason"] == (
            "is damaged: it has 11 items or more, and the manifest lists 10"
        )
        assert done.peak < MOST

    @pytest.mark.parametrize("key", ["x" * 30_000, "x" * 2048 + "🎉"], ids=["long", "wide"])
    def test_a_key_that_is_too_large_for_a_table(self, export: Export, key: str) -> None:
        lines = json.dumps({"Item": {"PK": {"S": key}}}).encode() + b"\n"
        export.write(*[packed(lines * 1000) for _ in range(8)], counts=[1000] * 8)

        done = export.backfill("--segments", "8")

        assert {each["reason"] for each in done.document["damaged"]} == {"is damaged: line 1 cannot be read"}
        assert done.peak < MOST

    @pytest.mark.parametrize(
        "manifest",
        [
            {"files": b"[" * 48 * MIB},
            {"files": (b"[" * (MIB - 1) + b"\n") * 30},
            {"files": b"\n" * 48 * MIB},
            {"files": b'{"itemCount":0,"dataFileS3Key":"a"}\n' * 1_000_000},
            {
                "files": b"".join(
                    b'{"itemCount":0,"dataFileS3Key":"%07d"}\n' % number for number in range(600_000)
                )
            },
            {"summary": b"[" * 16 * MIB},
            {"summary": b"[" + b"[]," * (MIB // 4) + b"1]"},
            {"summary": b"[" * 50_000 + b"]" * 50_000},
        ],
        ids=["a line", "lines", "empty lines", "one file", "files", "summary", "elements", "deep"],
    )
    def test_a_manifest(self, export: Export, manifest: Any) -> None:
        export.write(**manifest)

        done = export.backfill()

        assert done.status == 2
        assert done.stderr.startswith(
            ("Error: the manifests in s3://bucket/", f"Error: the export in s3://bucket/{FOLDER}/ is")
        )
        assert done.peak < MOST

    def test_a_manifest_of_the_largest_number_of_files(self, export: Export) -> None:
        name = "AWSDynamoDB/01693685827463-2d8752fd/data/%026d.json.gz"
        line = '{"itemCount":0,"md5Checksum":"sQMSpEILNgoQmarvDFonGQ==","etag":"af83d6f217c19b8b0fff8023d8ca4716-1",'
        files = "".join(f'{line}"dataFileS3Key":"{name % number}"}}\n' for number in range(100_000)).encode()
        export.write(files=files)

        done = export.backfill("--dry-run")

        assert (done.status, done.document["items"]) == (0, 0)
        assert done.peak < MOST

    def test_the_largest_items(self, export: Export, tables: Tables) -> None:
        lines = [f'{{"Item": {{"v": {image}, "PK": {{"S": "a"}}}}}}\n' for image in LARGEST_IMAGES.values()]
        export.write(*[packed(line.encode() * 3) for line in lines], counts=[3] * len(lines))

        done = export.backfill("--segments", "8")

        assert (done.status, done.document["items"]) == (0, 3 * len(lines))
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert done.peak < MOST


CHANGES = Window(
    "01790000000000-0a1b2c3d", datetime(2099, 11, 22, 11, tzinfo=UTC), datetime(2099, 11, 22, 12, tzinfo=UTC)
)


class TestIncrementalExport:
    def backfill(self, export: Export, *more: str) -> Weighed:
        return export.backfill(*more, folders=[CHANGES.place])

    def write(self, export: Export, *files: bytes) -> None:
        """Put an export of compressed files, each of which has one change."""
        put = export.at_the_top
        CHANGES.store(put, *([inserted("a")] for _ in files))
        for number, file in enumerate(files):
            put(CHANGES.file(number), file)

    def test_a_line_that_is_too_long_is_not_read_to_its_end(self, export: Export) -> None:
        image = b'{"Keys": {"PK": {"S": "a"}}, "NewImage": {"v": "'
        just_above = packed(image, b"x" * MIB, b'"}}\n', times=MAX_CHANGE // MIB)
        self.write(export, ENDLESS["without end"], ENDLESS["brackets"], just_above)

        done = self.backfill(export, "--segments", "8")

        assert done.status == 2
        assert {each["reason"] for each in done.document["damaged"]} == {"is damaged: line 1 cannot be read"}
        assert len(done.document["damaged"]) == 3
        assert done.peak < MOST

    def test_changes_with_two_of_the_largest_images(self, export: Export, tables: Tables) -> None:
        spaced = [json.dumps({"v": json.loads(image)}) for image in LARGEST_IMAGES.values()]
        lines = [
            f'{{"NewImage": {image}, "OldImage": {image}, "Keys": {{"PK": {{"S": "a"}}}}}}\n'
            for image in spaced
        ]
        assert max(map(len, lines)) > MAX_LINE
        self.write(export, *[packed(line.encode()) for line in lines * 2])

        done = self.backfill(export, "--segments", "16")

        assert (done.status, done.document["items"]) == (0, 2 * len(lines))
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert done.peak < MOST

    def test_a_key_that_is_too_large_for_a_table(self, export: Export) -> None:
        self.write(export, packed(json.dumps({"Keys": {"PK": {"S": "x" * 30_000}}}).encode()))

        assert self.backfill(export).document["damaged"][0]["reason"] == "is damaged: line 1 cannot be read"

    def test_several_exports_have_together_no_more_files_than_one(self, export: Export) -> None:
        folders = []
        for number in range(3):
            window = replace(CHANGES, id=f"01790000000000-{number}")
            files = "".join(
                f'{{"itemCount":0,"dataFileS3Key":"AWSDynamoDB/data/{number}{file:025d}.json.gz"}}\n'
                for file in range(MAX_FILES // 2)
            )
            window.store(export.at_the_top)
            export.at_the_top(f"{window.place}/manifest-files.json", files.encode())
            folders.append(window.place)

        done = export.backfill("--dry-run", folders=folders[:2])
        refused = export.backfill("--dry-run", folders=folders)

        assert (done.status, done.document["items"]) == (0, 0)
        assert refused.stderr.startswith(f"Error: the manifests in s3://bucket/{folders[2]}/ are too large.")
        assert max(done.peak, refused.peak) < MOST
