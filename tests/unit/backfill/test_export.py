"""export: a file yields its keys, or an error if it is damaged, and never a last page before the error."""

import errno
import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from tempfile import gettempdir
from typing import Any

import pytest

from ddbreplica.backfill import export as exports
from ddbreplica.backfill.export import Export, Exported
from ddbreplica.backfill.listing import DamagedError, KeyPage
from ddbreplica.errors import TaskError
from tests.support.fake_bucket import s3_error
from tests.support.fake_s3 import FakeS3

packed = partial(gzip.compress, mtime=0)
FILE = "s3://bucket/data/a.json.gz"


class Bucket:
    """A client with the one call that downloads a file or raises an error."""

    def __init__(self, body: bytes, error: Exception | None = None) -> None:
        self._body = body
        self._error = error

    def download_fileobj(self, bucket: str, name: str, file: Any, *, Config: Any) -> None:  # noqa: N803
        assert (bucket, name) == ("bucket", "data/a.json.gz")
        assert not Config.use_threads
        file.write(self._body)
        if self._error:
            raise self._error


def lines(*keys: str) -> bytes:
    return b"".join(b'{"Item": {"PK": {"S": "%s"}}}\n' % key.encode() for key in keys)


TAKEN_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def exported(client: Any, of: int = 2) -> Exported:
    return Exported(client, Export("s3://bucket/", "arn", TAKEN_AT, {FILE: of}), ["PK"])


def read(body: bytes, *, of: int = 2, after: Any = None) -> tuple[Sequence[KeyPage], str]:
    """Return the pages, and the error that ended them."""
    pages: list[KeyPage] = []
    try:
        pages.extend(exported(Bucket(body), of).pages(FILE, after))
    except DamagedError as error:
        return pages, str(error)
    return pages, ""


def is_ended(pages: Sequence[KeyPage]) -> bool:
    return any(page.cursor is None for page in pages)


def names(pages: Sequence[KeyPage]) -> list[str]:
    return [value for page in pages for ((_, _, value),) in page.keys]


def test_a_complete_file_ends_with_a_page_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)

    pages, why = read(packed(lines("a", "b", "c")), of=3)

    assert [(len(page.keys), page.cursor) for page in pages] == [(2, 2), (1, 3), (0, None)]
    assert (names(pages), why) == (["a", "b", "c"], "")


@pytest.mark.parametrize(("after", "left"), [(1, ["b", "c"]), (3, [])])
def test_it_is_read_from_the_position_of_an_earlier_run(after: int, left: list[str]) -> None:
    pages, why = read(packed(lines("a", "b", "c")), of=3, after=after)

    assert (names(pages), why, is_ended(pages)) == (left, "", True)


@pytest.mark.parametrize("after", [None, 1, 2])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (packed(b""), "it has 0 items, and the manifest lists 2"),
        (packed(lines("a")), "it has 1 items, and the manifest lists 2"),
        (packed(lines("a", "b", "c")), "it has 3 items or more, and the manifest lists 2"),
        (
            packed(lines("a", "b")) + packed(lines("c")),
            "it has 3 items or more, and the manifest lists 2",
        ),
        (packed(lines("a", "b"))[:-9], "line "),
        (packed(lines("a", "b"))[:-8] + bytes(8), "line 3 cannot be read"),  # another checksum
        (packed(lines("a", "b")) + b"?", "line 3 cannot be read"),
    ],
)
def test_a_damaged_file_has_no_last_page(body: bytes, why: str, after: int | None) -> None:
    pages, error = read(body, after=after)

    assert error.startswith(f"is damaged: {why}")
    assert not is_ended(pages)


@pytest.mark.parametrize(
    "line",
    [
        b'{"PK": 1}\n',
        b'{"Item": {"PK": {"S": 5}}}\n',
        b'{"Item": {"PK": []}}\n',
        b'{"Item": []}\n',
        b'{"Item": {}}\n',
        b"[]\n",
        b"null\n",
        b"\n",
        b"{\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"Item": {"PK": {"S": "b"}}',
        b'{"Item": {"PK": {"S": "b"}, "v": {"S": "' + b"x" * 1000 + b'"}}}\n',
    ],
)
def test_a_line_that_is_not_an_item_is_reported_with_its_number(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    monkeypatch.setattr(exports, "MAX_LINE", 1000)
    monkeypatch.setattr(exports, "MAX_SMALL", 500)

    pages, error = read(packed(lines("a") + line))

    assert (names(pages), error) == (["a"], "is damaged: line 2 cannot be read")
    assert not is_ended(pages)


class Memory:
    """The memory that threads share, and how much was taken."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        self.taken.append(size)
        yield


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Lines of more than 60 bytes are long; memory for 300 bytes is taken for each."""
    memory = Memory()
    monkeypatch.setattr(exports, "MEMORY", memory)
    monkeypatch.setattr(exports, "MAX_LINE", 300)
    monkeypatch.setattr(exports, "MAX_SMALL", 60)
    return memory


def line_of(size: int, key: str = "b") -> bytes:
    """Return an item as a line of so many bytes."""
    line = lines(key)[:-2] + b', "v": "'
    return line + b"x" * (size - len(line) - 3) + b'"}\n'


def test_the_parts_are_the_files() -> None:
    assert exported(Bucket(b"")).parts == (FILE,)


def test_a_page_has_no_items_of_the_source() -> None:
    pages, _ = read(packed(lines("a", "b")))

    assert [page.seen for page in pages] == [{}, {}]


@pytest.mark.parametrize("size", [61, 120, 300])
def test_memory_is_reserved_for_a_long_line(memory: Memory, size: int) -> None:
    pages, why = read(packed(lines("a") + line_of(size) + lines("c")), of=3)

    assert (names(pages), why) == (["a", "b", "c"], "")
    assert memory.taken == [300]


def test_a_line_that_is_longer_than_any_item_is_damage(memory: Memory) -> None:
    pages, why = read(packed(lines("a") + line_of(301)))

    assert (names(pages), why) == ([], "is damaged: line 2 cannot be read")


@pytest.mark.parametrize("line", [line_of(60), lines("b")[:-1]])
def test_no_memory_is_reserved_for_a_short_line(memory: Memory, line: bytes) -> None:
    pages, why = read(packed(lines("a") + line))

    assert (names(pages), why, memory.taken) == (["a", "b"], "", [])


def test_a_long_line_is_read_in_small_pieces(memory: Memory) -> None:
    class Rest(BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            assert size == 60
            return super().readline(size)

    line, rest = line_of(200), Rest(line_of(200)[60:])

    key = exported(Bucket(b""))._key_of_line(line[:60], rest)  # type: ignore[arg-type]

    assert key == (("PK", "S", "b"),)


def test_a_long_line_of_an_earlier_run_is_one_line(memory: Memory) -> None:
    pages, why = read(packed(line_of(200, key="a") + lines("b")), after=1)

    assert (names(pages), why) == (["b"], "")


def test_a_line_of_an_earlier_run_is_not_parsed_again() -> None:
    pages, why = read(packed(b"no item\n" + lines("b")), after=1)

    assert (names(pages), why) == (["b"], "")


def unread(error: Exception) -> tuple[str, str]:
    """Return fact and hint of the error for a file that cannot be read now."""
    with pytest.raises(TaskError) as raised:
        list(exported(Bucket(b"some", error)).pages(FILE, None))
    return raised.value.fact, raised.value.hint


def test_a_file_that_s3_refuses_is_reported() -> None:
    fact, _ = unread(s3_error("AccessDenied", "why"))

    assert fact == f"{FILE} cannot be read: AccessDenied: why"


def test_a_broken_connection_is_an_error_of_the_response() -> None:
    fact, _ = unread(ConnectionResetError(errno.ECONNRESET, "reset"))

    assert fact == (
        f"{FILE} cannot be read: UnreadableResponse: the response cannot be read: ConnectionResetError"
    )


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC])
def test_a_full_disk_is_not_an_error_of_the_response(number: int) -> None:
    fact, _ = unread(OSError(number, "why"))

    assert fact == f"the temporary file of {FILE}, in {gettempdir()}, cannot be written: why."


PLACE = "exports/AWSDynamoDB/01234-abc"
FOLDER = f"s3://bucket/{PLACE}/"
AGAIN = "export the table again, or leave out --from-export."


def entry(name: str, count: Any = 1) -> dict[str, Any]:
    return {"itemCount": count, "dataFileS3Key": f"AWSDynamoDB/01234-abc/data/{name}"}


def manifests(*files: dict[str, Any], **summary: Any) -> FakeS3:
    """Return a bucket with one export; None in its summary leaves a member out."""
    whole = {
        "tableArn": "arn",
        "exportTime": "2026-11-22T12:00:00.000Z",
        "exportType": "FULL_EXPORT",
        "outputFormat": "DYNAMODB_JSON",
        "itemCount": len(files),
        **summary,
    }
    present = {name: value for name, value in whole.items() if value is not None}
    s3 = FakeS3()
    s3.store(f"{PLACE}/manifest-files.json", b"".join(json.dumps(each).encode() + b"\n" for each in files))
    s3.store(f"{PLACE}/manifest-summary.json", json.dumps(present).encode())
    return s3


def found(s3: FakeS3, url: str = "s3://bucket/exports") -> Export:
    return exports.find(s3.connect(), url)


def refused(s3: FakeS3) -> tuple[str, str]:
    """Return fact and hint of the error for an export that cannot be used."""
    with pytest.raises(TaskError) as raised:
        found(s3)
    return raised.value.fact, raised.value.hint


UNREADABLE = f"the manifests in {FOLDER} cannot be read.", AGAIN
TOO_LARGE = (
    f"the manifests in {FOLDER} are too large.",
    "name an export that DynamoDB has written.",
)


class TestFind:
    def test_an_export_is_read_from_its_manifests(self) -> None:
        export = found(manifests(entry("a.json.gz", 1000), entry("b.json.gz", 0), itemCount=1000))

        assert export == Export(
            FOLDER, "arn", TAKEN_AT, {f"{FOLDER}data/a.json.gz": 1000, f"{FOLDER}data/b.json.gz": 0}
        )
        assert export.items == 1000

    def test_other_objects_of_the_bucket_do_not_count(self) -> None:
        s3 = manifests()
        s3.store("exports/my-manifest-summary.json", b"")
        s3.store("exports/manifest-summary.json/data", b"")
        s3.store("other/manifest-summary.json", b"")

        assert found(s3).url == FOLDER

    def test_a_manifest_at_the_top_of_the_bucket_is_found(self) -> None:
        s3 = FakeS3()
        for stored in manifests(entry("a")).versions:
            s3.store(stored.name.rpartition("/")[2], stored.body)

        assert found(s3, "s3://bucket") == Export("s3://bucket/", "arn", TAKEN_AT, {"s3://bucket/data/a": 1})

    @pytest.mark.parametrize(("count", "shown"), [(0, "0"), (2, "2"), (1000, "1,000")])
    def test_none_and_several_exports_are_refused(self, count: int, shown: str) -> None:
        s3 = FakeS3(page=1000)
        for number in range(count):
            s3.store(f"exports/{number}/manifest-summary.json", b"{}")

        assert refused(s3) == (
            f"expected one manifest-summary.json under s3://bucket/exports, and found {shown}.",
            "name the folder of one completed export: s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID.",
        )

    def test_a_missing_bucket_is_reported_with_its_option(self) -> None:
        s3 = FakeS3()
        s3.refuse("list", "NoSuchBucket")

        assert refused(s3) == (
            "the bucket bucket does not exist.",
            "check --from-export, --profile and --endpoint-url.",
        )

    @pytest.mark.parametrize("name", ["manifest-files.json", "manifest-summary.json"])
    def test_both_manifests_have_to_be_there(self, name: str) -> None:
        s3 = manifests()

        def vanish(operation: str, object_name: str) -> None:
            if operation == "get" and object_name.endswith(name):
                s3.store(object_name, None)

        s3.before = vanish

        assert refused(s3) == (f"the export in {FOLDER} is damaged: one of its manifests is missing.", AGAIN)

    @pytest.mark.parametrize(("limit", "name"), [("MIB", "summary"), ("MAX_MANIFEST", "files")])
    def test_a_manifest_is_as_large_as_allowed_and_no_larger(
        self, monkeypatch: pytest.MonkeyPatch, limit: str, name: str
    ) -> None:
        s3 = manifests(entry("a"))
        stored = s3.present(f"{PLACE}/manifest-{name}.json")
        assert stored
        assert stored.body

        monkeypatch.setattr(exports, limit, len(stored.body))
        assert found(s3).items == 1

        monkeypatch.setattr(exports, limit, len(stored.body) - 1)
        assert refused(s3) == TOO_LARGE

    def test_an_export_has_as_many_files_as_allowed_and_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exports, "MAX_FILES", 2)

        assert found(manifests(entry("a"), entry("b"))).items == 2
        assert refused(manifests(entry("a"), entry("b"), entry("c"))) == TOO_LARGE

    def test_a_line_of_a_manifest_is_as_long_as_allowed_and_no_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3 = manifests(entry("a" * 500))
        size = len(json.dumps(entry("a" * 500)))
        monkeypatch.setattr(exports, "MAX_ENTRY", size)
        assert found(s3).items == 1

        monkeypatch.setattr(exports, "MAX_ENTRY", size - 1)
        with pytest.raises(TaskError) as raised:
            found(s3)

        assert (raised.value.fact, raised.value.hint) == UNREADABLE
        assert raised.value.__cause__
        assert raised.value.__cause__.args == (size,)

    @pytest.mark.parametrize(
        ("summary", "kind"),
        [
            ({"exportType": "INCREMENTAL_EXPORT"}, "INCREMENTAL_EXPORT in DYNAMODB_JSON"),
            ({"outputFormat": "ION"}, "FULL_EXPORT in ION"),
            ({"exportType": None, "outputFormat": "ION"}, "FULL_EXPORT in ION"),
        ],
    )
    def test_an_export_of_another_type_or_format_is_refused(self, summary: dict[str, Any], kind: str) -> None:
        assert refused(manifests(**summary)) == (
            f"the export in {FOLDER} is {kind}; it must be FULL_EXPORT in DYNAMODB_JSON.",
            AGAIN,
        )

    def test_an_export_without_a_type_is_a_full_one(self) -> None:
        assert found(manifests(exportType=None)).items == 0

    def test_a_file_that_is_listed_twice_is_damage(self) -> None:
        assert refused(manifests(entry("a"), entry("a"))) == (
            f"the export in {FOLDER} is damaged: its manifest lists a file twice.",
            AGAIN,
        )

    def test_counts_that_differ_are_damage(self) -> None:
        assert refused(manifests(entry("a", 1000), itemCount=2000)) == (
            (
                f"the export in {FOLDER} is damaged: manifest-files.json counts 1,000 items, and"
                " manifest-summary.json 2,000."
            ),
            AGAIN,
        )

    @pytest.mark.parametrize("count", [True, -1, "1", 1.0])
    def test_an_invalid_count_cannot_be_read(self, count: Any) -> None:
        with pytest.raises(TaskError) as raised:
            found(manifests(entry("a", count)))

        assert (raised.value.fact, raised.value.hint) == UNREADABLE
        assert raised.value.__cause__
        assert raised.value.__cause__.args == (count,)

    @pytest.mark.parametrize("name", ["tableArn", "exportTime", "outputFormat", "itemCount"])
    def test_a_summary_that_lacks_something_cannot_be_read(self, name: str) -> None:
        assert refused(manifests(entry("a"), **{name: None})) == UNREADABLE

    @pytest.mark.parametrize("files", [entry("å"), {"itemCount": 1}, {**entry("a"), "dataFileS3Key": 5}])
    def test_a_list_of_something_else_cannot_be_read(self, files: dict[str, Any]) -> None:
        assert refused(manifests(files)) == UNREADABLE

    def test_empty_lines_of_the_list_are_skipped(self) -> None:
        s3 = manifests(entry("a"))
        s3.store(f"{PLACE}/manifest-files.json", b"\n \t\r\n" + json.dumps(entry("a")).encode())

        assert found(s3).items == 1

    @pytest.mark.parametrize("time", ["2026-11-22T12:00:00", "2026-11-22T14:00:00+02:00"])
    def test_a_time_is_in_utc_unless_it_has_a_zone(self, time: str) -> None:
        assert found(manifests(exportTime=time)).taken_at == TAKEN_AT
