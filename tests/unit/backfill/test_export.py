"""export: a file yields its keys, or an error if it is damaged, and never a last page before the error."""

import errno
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from tempfile import gettempdir
from typing import Any

import pytest

from ddbreplica.backfill import export as exports
from ddbreplica.backfill.export import Export, Exported
from ddbreplica.backfill.listing import DamagedError, KeyPage
from ddbreplica.errors import TaskError
from tests.support import incremental
from tests.support.fake_bucket import s3_error
from tests.support.fake_s3 import FakeS3
from tests.support.incremental import ARN, SHARED, TABLE_ID, Window, changes

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
SINCE = TAKEN_AT - timedelta(hours=1)
WINDOW = Window("1", SINCE, TAKEN_AT)


def exported(client: Any, of: int = 2, since: datetime | None = None) -> Exported:
    return Exported(client, Export("s3://bucket/", "arn", TAKEN_AT, {FILE: of}, since), ["PK"])


def read(
    body: bytes, *, of: int = 2, after: Any = None, since: datetime | None = None
) -> tuple[Sequence[KeyPage], str]:
    """Return the pages, and the error that ended them. The export is incremental if it begins at a time."""
    pages: list[KeyPage] = []
    try:
        pages.extend(exported(Bucket(body), of, since).pages(FILE, after))
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
    """Lines of more than 60 bytes are long; memory for 300 bytes is taken for each, for 600 if it has two images."""
    memory = Memory()
    monkeypatch.setattr(exports, "MEMORY", memory)
    monkeypatch.setattr(exports, "MAX_LINE", 300)
    monkeypatch.setattr(exports, "MAX_CHANGE", 600)
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


class TestIncrementalFile:
    """Its lines have the key of each changed item, and images that may be absent or null."""

    def test_the_key_of_every_kind_of_change_is_read(self) -> None:
        pages, why = read(packed(incremental.lines(incremental.changes("abcd"))), of=4, since=SINCE)

        assert (names(pages), why, is_ended(pages)) == (["a", "b", "c", "d"], "", True)
        assert [page.seen for page in pages] == [{}, {}]

    def test_the_key_is_not_taken_from_an_image(self) -> None:
        line = (
            b'{"NewImage": {"PK": {"S": "b"}}, "Keys": {"PK": {"S": "a"}}, "OldImage": {"PK": {"S": "c"}}}\n'
        )

        assert read(packed(line), of=1, since=SINCE)[1] == ""
        assert names(read(packed(line), of=1, since=SINCE)[0]) == ["a"]

    def test_an_empty_file_is_complete(self) -> None:
        pages, why = read(packed(b""), of=0, since=SINCE)

        assert (names(pages), why, is_ended(pages)) == ([], "", True)

    def test_a_line_of_a_full_export_is_damage(self) -> None:
        assert read(packed(lines("a")), of=1, since=SINCE) == ([], "is damaged: line 1 cannot be read")

    def test_a_change_in_a_full_export_is_damage(self) -> None:
        body = packed(incremental.lines(incremental.changes("a")))

        assert read(body, of=1) == ([], "is damaged: line 1 cannot be read")

    @pytest.mark.parametrize("keys", [b"{}", b"null", b"[]", b'{"SK": {"S": "a"}}'])
    def test_a_change_without_a_key_is_damage(self, keys: bytes) -> None:
        body = packed(b'{"Keys": %s, "NewImage": {"PK": {"S": "a"}}}\n' % keys)

        assert read(body, of=1, since=SINCE) == ([], "is damaged: line 1 cannot be read")

    @pytest.mark.parametrize(("size", "why"), [(600, ""), (601, "is damaged: line 1 cannot be read")])
    def test_a_line_may_be_as_long_as_two_items(self, memory: Memory, size: int, why: str) -> None:
        start = b'{"NewImage":{"PK":{"S":"a"}},"OldImage":{"v":{"S":"'
        end = b'"}},"Keys":{"PK":{"S":"a"}}}\n'
        body = packed(start + b"x" * (size - len(start) - len(end)) + end)

        assert read(body, of=1, since=SINCE)[1] == why
        assert memory.taken == [600]

    def test_a_file_of_other_length_is_damage(self) -> None:
        _, why = read(packed(incremental.lines(incremental.changes("ab"))), of=3, since=SINCE)

        assert why == "is damaged: it has 2 items, and the manifest lists 3"


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
    (export,) = exports.find(s3.connect(), [url])
    return export


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
            (
                "name the folder of one completed export, s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID; for several"
                " exports, repeat --from-export."
            ),
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
            ({"exportType": "PARTIAL_EXPORT"}, "PARTIAL_EXPORT in DYNAMODB_JSON"),
            ({"exportType": "INCREMENTAL_EXPORT", "outputFormat": "ION"}, "INCREMENTAL_EXPORT in ION"),
            ({"exportType": ["FULL_EXPORT"]}, "['FULL_EXPORT'] in DYNAMODB_JSON"),
            ({"outputFormat": "ION"}, "FULL_EXPORT in ION"),
            ({"exportType": None, "outputFormat": "ION"}, "FULL_EXPORT in ION"),
        ],
    )
    def test_an_export_of_another_type_or_format_is_refused(self, summary: dict[str, Any], kind: str) -> None:
        assert refused(manifests(**summary)) == (
            f"the export in {FOLDER} is {kind}; it must be FULL_EXPORT or INCREMENTAL_EXPORT in DYNAMODB_JSON.",
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

    @pytest.mark.parametrize("text", ["2026-11-22T12:00:00", "2026-11-22T14:00:00+02:00"])
    def test_a_time_is_in_utc_wherever_the_machine_is(
        self, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            taken_at = found(manifests(exportTime=text)).taken_at
        time.tzset()

        assert (taken_at, taken_at.tzinfo) == (TAKEN_AT, UTC)

    def test_an_identity_of_the_table_is_read_if_it_is_there(self) -> None:
        assert found(manifests()).table_id is None
        assert found(manifests(tableId="t-1")).table_id == "t-1"

    def test_an_export_with_a_filter_is_refused(self) -> None:
        assert found(manifests(filterSpecification={})).items == 0
        assert refused(manifests(filterSpecification={"FilterExpression": "x"})) == (
            f"the export in {FOLDER} has a filter, so items may be missing.",
            AGAIN,
        )


class TestFindIncremental:
    """Its files are in a folder that all incremental exports share."""

    FOLDER = f"s3://bucket/{WINDOW.place}/"

    def store(self, *files: Any, **summary: Any) -> FakeS3:
        s3 = FakeS3()
        WINDOW.store(s3.store, *files, **summary)
        return s3

    def test_its_window_and_its_own_files_are_read_from_its_manifests(self) -> None:
        s3 = self.store(changes("ab"), changes("c"), [])
        Window("2", SINCE, TAKEN_AT).store(s3.store, changes("d"))

        export = found(s3, f"s3://bucket/{WINDOW.place}/")

        assert export == Export(
            self.FOLDER,
            ARN,
            TAKEN_AT,
            {
                f"s3://bucket/{SHARED}/1-0.json.gz": 2,
                f"s3://bucket/{SHARED}/1-1.json.gz": 1,
                f"s3://bucket/{SHARED}/1-2.json.gz": 0,
            },
            SINCE,
            TABLE_ID,
        )

    @pytest.mark.parametrize("view", ["NEW_IMAGE", "NEW_IMAGES", "KEYS", None])
    def test_any_view_of_the_changes_is_accepted(self, view: str | None) -> None:
        assert found(self.store(changes("a"), outputView=view)).items == 1

    @pytest.mark.parametrize(
        ("place", "file"),
        [("", "s3://bucket/data/a"), ("1/", "s3://bucket/data/a"), ("p/1/", "s3://bucket/p/data/a")],
    )
    def test_its_files_are_beside_its_folder_at_any_depth(self, place: str, file: str) -> None:
        s3 = FakeS3()
        for stored in manifests(
            entry("a"),
            exportType="INCREMENTAL_EXPORT",
            version="2023-08-01",
            exportFromTime="2026-11-22T11:00:00Z",
            exportToTime="2026-11-22T12:00:00Z",
            tableId="t-1",
        ).versions:
            s3.store(place + stored.name.rpartition("/")[2], stored.body)

        assert found(s3, f"s3://bucket/{place}").files == {file: 1}

    @pytest.mark.parametrize("name", ["version", "tableId", "exportFromTime", "exportToTime", "itemCount"])
    def test_a_summary_that_lacks_something_cannot_be_read(self, name: str) -> None:
        assert refused(self.store(changes("a"), **{name: None})) == (
            f"the manifests in {self.FOLDER} cannot be read.",
            AGAIN,
        )

    def test_an_unknown_version_is_refused(self) -> None:
        assert refused(self.store(version="2030-01-01")) == (
            (
                f"the export in {self.FOLDER} is INCREMENTAL_EXPORT of version 2030-01-01; it must be of version"
                " 2023-08-01."
            ),
            "use a newer version of ddbreplica, or leave out --from-export.",
        )

    def test_a_full_export_may_have_any_version(self) -> None:
        assert found(manifests(version="2030-01-01")).since is None

    @pytest.mark.parametrize("until", ["2026-11-22T11:00:00Z", "2026-11-22T10:59:59Z"])
    def test_a_window_that_ends_before_it_begins_is_damage(self, until: str) -> None:
        assert refused(self.store(exportToTime=until)) == (
            f"the export in {self.FOLDER} is damaged: it ends before it begins.",
            AGAIN,
        )


class TestFindSeveral:
    def stored(self, *windows: Window) -> FakeS3:
        s3 = FakeS3()
        for window in windows:
            window.store(s3.store, changes("ab"))
        return s3

    TWO = WINDOW, Window("2", SINCE, TAKEN_AT)
    URLS = tuple(f"s3://bucket/{window.place}/" for window in TWO)

    def test_each_is_read_from_its_own_folder(self) -> None:
        exports_ = exports.find(self.stored(*self.TWO).connect(), self.URLS)

        assert tuple(export.url for export in exports_) == self.URLS
        assert [list(export.files) for export in exports_] == [
            [f"s3://bucket/{SHARED}/{window.id}-0.json.gz"] for window in self.TWO
        ]

    def test_one_that_is_given_twice_is_refused(self) -> None:
        with pytest.raises(TaskError) as raised:
            exports.find(self.stored(WINDOW).connect(), [self.URLS[0], self.URLS[0].removesuffix("/")])

        assert (raised.value.fact, raised.value.hint) == (
            f"the export in {self.URLS[0]} is given twice.",
            "give each export once.",
        )

    def test_together_they_have_as_many_files_as_allowed_and_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3 = self.stored(*self.TWO).connect()
        monkeypatch.setattr(exports, "MAX_FILES", 2)
        assert len(exports.find(s3, self.URLS)) == 2

        monkeypatch.setattr(exports, "MAX_FILES", 1)
        with pytest.raises(TaskError, match=f"^the manifests in {self.URLS[1]} are too large"):
            exports.find(s3, self.URLS)

    def test_together_their_manifests_are_as_large_as_allowed_and_no_larger(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3 = self.stored(*self.TWO)
        stored = [s3.present(f"{window.place}/manifest-files.json") for window in self.TWO]
        size = sum(len(each.body or b"") for each in stored if each)
        monkeypatch.setattr(exports, "MAX_MANIFEST", size)
        assert len(exports.find(s3.connect(), self.URLS)) == 2

        monkeypatch.setattr(exports, "MAX_MANIFEST", size - 1)
        with pytest.raises(TaskError, match=f"^the manifests in {self.URLS[1]} are too large"):
            exports.find(s3.connect(), self.URLS)
