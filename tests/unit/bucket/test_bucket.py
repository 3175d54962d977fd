"""bucket: the objects of an S3 bucket are listed, read and moved, while other commands may do the same."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.bucket import bucket as module
from ddbreplica.bucket.bucket import Bucket, Held, Listed, NoVersionsError, Version
from ddbreplica.errors import TaskError
from tests.support.fake_s3 import NAME, NOW, FakeS3, Stored

MOVED_MEANWHILE = (
    "PreconditionFailed",
    "NoSuchKey",
    "NoSuchVersion",
    "ConditionalRequestConflict",
    "404",
    "409",
)


class OtherPages(FakeS3):
    """Returns these pages for a listing."""

    def __init__(self, *pages: Any) -> None:
        super().__init__()
        self._other = pages

    def get_paginator(self, operation: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return iter(self._other)


class TestFolders:
    def test_each_folder_of_a_prefix_is_named_once(self) -> None:
        pages = [
            {"KeyCount": 2, "CommonPrefixes": [{"Prefix": "jobs/orders/a/"}, {"Prefix": "jobs/orders/b/"}]},
            {"KeyCount": 1, "Contents": [{"Key": "jobs/orders/lease.json"}]},
        ]

        found = OtherPages(*pages).bucket().folders("jobs/orders/")

        assert list(found) == ["a", "b"]

    def test_a_response_that_is_no_listing_is_an_error(self) -> None:
        bucket = OtherPages({}).bucket()

        with pytest.raises(TaskError, match="cannot be listed"):
            list(bucket.folders("jobs/"))


class TestList:
    def test_objects_of_a_prefix_by_name_over_several_pages(self) -> None:
        s3 = FakeS3()
        for number, name in enumerate(("a/3", "a/1", "a/2", "b/1")):
            s3.store(name, b"x" * number, age=60.5 * number)

        assert list(s3.bucket().list("a/")) == [
            Listed("a/1", 1, 60.5, NOW - timedelta(seconds=60.5)),
            Listed("a/2", 2, 121.0, NOW - timedelta(seconds=121)),
            Listed("a/3", 0, 0.0, NOW),
        ]
        assert s3.requests == [("list", "a/"), ("list", "a/")]

    def test_objects_after_a_name(self) -> None:
        s3 = FakeS3()
        for name in ("A", "a/1", "a/2", "a/3"):
            s3.store(name, b"")

        assert [listed.name for listed in s3.bucket().list("a/", after="a/1")] == ["a/2", "a/3"]
        assert [listed.name for listed in s3.bucket().list("")] == ["A", "a/1", "a/2", "a/3"]

    def test_none(self) -> None:
        assert list(FakeS3().bucket().list("a/")) == []

    def test_an_object_seems_to_be_from_the_future(self) -> None:
        s3 = FakeS3()
        s3.store("a", b"", age=-0.9)

        (listed,) = s3.bucket().list("")

        assert listed.age == 0

    @pytest.mark.parametrize(
        "page",
        [
            {"ResponseMetadata": {"HTTPHeaders": {}}, "KeyCount": 0},
            {"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 28 Nov 2026 18:00:00 GMT"}}},
        ],
        ids=["no date", "no count"],
    )
    def test_a_response_that_is_not_a_listing_is_unreadable(self, page: Any) -> None:
        with pytest.raises(TaskError) as refused:
            list(OtherPages(page).bucket().list(""))

        assert refused.value.fact == (
            "the objects in the bucket bucket cannot be listed: UnreadableResponse: the response cannot be read:"
            " KeyError"
        )

    def test_a_bucket_that_does_not_exist(self) -> None:
        s3 = FakeS3()
        s3.refuse("list", "NoSuchBucket")

        with pytest.raises(TaskError) as refused:
            list(s3.bucket().list(""))

        assert refused.value.fact == "the bucket bucket does not exist."
        assert refused.value.hint == (
            "check --bucket, --profile and --endpoint-url; if it was deleted, create it again as template.yaml does."
        )

    def test_denied(self) -> None:
        s3 = FakeS3()
        s3.refuse("list", "AccessDenied")

        with pytest.raises(TaskError) as refused:
            list(s3.bucket().list(""))

        assert refused.value.fact == "the objects in the bucket bucket cannot be listed: AccessDenied: why"
        assert refused.value.hint == (
            "use credentials that may do this (--profile), or have the permission added."
        )


class TestVersions:
    def test_all_of_them_and_delete_markers_by_name(self) -> None:
        s3 = FakeS3(page=3)
        marker, old = s3.store("b", None, age=5), s3.store("a", b"1", age=4)
        present, other = s3.store("a", b"22", age=3), s3.store("c", b"")

        def version(stored: Stored, *, is_present: bool) -> Version:
            return Version(
                stored.name,
                stored.id,
                is_present=is_present,
                size=None if stored.body is None else len(stored.body),
                etag=None if stored.body is None else stored.etag,
                stored_at=stored.at,
            )

        assert list(s3.bucket().versions("")) == [
            version(old, is_present=False),
            version(present, is_present=True),
            version(marker, is_present=True),
            version(other, is_present=True),
        ]
        assert [each.name for each in s3.bucket().versions("c")] == ["c"]

    def test_none(self) -> None:
        assert list(OtherPages({"Name": NAME}).bucket().versions("")) == []

    def test_a_response_that_is_not_a_listing_is_unreadable(self) -> None:
        with pytest.raises(TaskError) as refused:
            list(OtherPages({}).bucket().versions(""))

        assert refused.value.fact == (
            "the objects in the bucket bucket cannot be listed: UnreadableResponse: the response cannot be read:"
            " KeyError"
        )

    @pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
    def test_versions_that_cannot_be_listed(self, code: str) -> None:
        s3 = FakeS3()
        s3.refuse("versions", code)

        with pytest.raises(NoVersionsError) as refused:
            list(s3.bucket().versions(""))

        assert refused.value.fact == f"the versions in the bucket bucket cannot be listed: {code}: why"
        assert refused.value.hint

    def test_versions_of_a_bucket_that_does_not_exist(self) -> None:
        s3 = FakeS3()
        s3.refuse("versions", "NoSuchBucket")

        with pytest.raises(TaskError, match=r"the bucket bucket does not exist\.") as refused:
            list(s3.bucket().versions(""))

        assert not isinstance(refused.value, NoVersionsError)


class TestRead:
    @pytest.mark.parametrize(("most", "is_cut"), [(9, True), (10, False), (11, False)])
    def test_up_to_so_many_bytes(self, most: int, is_cut: bool) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"0123456789")

        held = s3.bucket().read("a", most=most)

        assert held is not None
        assert (bytes(held.body), held.etag, held.is_cut) == (b"0123456789"[: most + 1], stored.etag, is_cut)

    def test_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_PART", 3)
        s3 = FakeS3()
        s3.store("a", b"0123456789")

        held = s3.bucket().read("a", most=100)

        assert held is not None
        assert bytes(held.body) == b"0123456789"

    def test_no_more_than_the_limit_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_PART", 4)
        s3, asked = FakeS3(), list[int]()
        s3.store("a", b"0123456789")
        get = s3.get_object

        def noted(**which: Any) -> Any:
            response = get(**which)
            response["Body"] = _Noted(response["Body"].read, asked)
            return response

        s3.get_object = noted  # type: ignore[method-assign]

        s3.bucket().read("a", most=6)

        assert asked == [4, 3, 0, -1]

    def test_an_old_version(self) -> None:
        s3 = FakeS3()
        old = s3.store("a", b"old")
        s3.store("a", b"new")

        held, present = s3.bucket().read("a", old.id, most=3), s3.bucket().read("a", most=3)

        assert held is not None
        assert present is not None
        assert (bytes(held.body), bytes(present.body)) == (b"old", b"new")

    def test_nothing(self) -> None:
        assert FakeS3().bucket().read("a", most=1) is None
        assert FakeS3().bucket().read("a", "v1", most=1) is None

    def test_content_is_whole_unless_it_is_cut(self) -> None:
        assert not Held(memoryview(b""), "etag").is_cut

    def test_denied(self) -> None:
        s3 = FakeS3()
        s3.refuse("get", "AccessDenied")

        with pytest.raises(
            TaskError, match=r"^the objects in the bucket bucket cannot be read: AccessDenied: why"
        ):
            s3.bucket().read("a", most=1)


@pytest.mark.parametrize(("etag", "condition"), [(None, {"IfNoneMatch": "*"}), ('"1"', {"IfMatch": '"1"'})])
def test_each_put_has_a_condition(etag: str | None, condition: dict[str, str]) -> None:
    puts: list[Any] = []

    def put_object(**request: Any) -> Any:
        puts.append(request)
        return {"ETag": '"2"'}

    client: Any = SimpleNamespace(put_object=put_object)

    assert Bucket(client, "bucket", option="--stack-name").put("a", b"{}", etag=etag) == '"2"'
    assert puts == [
        {"Bucket": "bucket", "Key": "a", "Body": b"{}", "ContentType": "application/json", **condition}
    ]


class _Noted:
    """A body that records how many bytes are read at a time, and -1 when it is closed."""

    def __init__(self, read: Any, asked: list[int]) -> None:
        self._read = read
        self._asked = asked

    def read(self, size: int) -> bytes:
        self._asked.append(size)
        part: bytes = self._read(size)
        return part

    def close(self) -> None:
        self._asked.append(-1)


class TestDelete:
    def version(self, stored: Stored) -> Version:
        return Version(stored.name, stored.id, is_present=True, size=1, etag=stored.etag, stored_at=stored.at)

    def test_a_version_is_deleted_permanently(self) -> None:
        s3 = FakeS3()
        old, new = s3.store("a", b"1"), s3.store("a", b"2")

        s3.bucket().delete(self.version(old))

        assert s3.versions == [new]
        assert s3.requests == [("delete", "a")]

    @pytest.mark.parametrize("code", MOVED_MEANWHILE)
    def test_a_version_that_no_longer_exists(self, code: str) -> None:
        s3 = FakeS3()
        s3.refuse("delete", code)

        s3.bucket().delete(self.version(s3.store("a", b"1")))

    def test_denied(self) -> None:
        s3 = FakeS3()
        s3.refuse("delete", "AccessDenied")

        with pytest.raises(
            TaskError, match=r"^the objects in the bucket bucket cannot be deleted: AccessDenied: why"
        ):
            s3.bucket().delete(self.version(s3.store("a", b"1")))


class TestFinish:
    def test_an_object_is_copied_and_then_removed(self) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"1")

        assert s3.bucket().finish("a", stored.etag, metadata={"outcome": "healed"}) is True

        assert s3.requests == [("copy", "a"), ("delete", "a")]
        assert s3.names == ["done/a"]
        done = s3.present("done/a")
        assert done is not None
        assert (done.body, done.metadata) == (b"1", {"outcome": "healed"})

    @pytest.mark.parametrize("operation", ["copy", "delete"])
    def test_an_object_that_was_replaced_meanwhile_stays(self, operation: str) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"1")

        def replace(asked: str, _name: str) -> None:
            if asked == operation:
                s3.store("a", b"2")

        s3.before = replace

        assert s3.bucket().finish("a", stored.etag, metadata={}) is False

        present = s3.present("a")
        assert present is not None
        assert present.body == b"2"

    @pytest.mark.parametrize("code", MOVED_MEANWHILE)
    def test_an_object_that_another_command_is_moving(self, code: str) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"1")
        s3.refuse("copy", code)

        assert s3.bucket().finish("a", stored.etag, metadata={}) is False

    def test_denied(self) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"1")
        s3.refuse("delete", "AccessDenied")

        with pytest.raises(
            TaskError, match=r"^the objects in the bucket bucket cannot be moved: AccessDenied: why"
        ):
            s3.bucket().finish("a", stored.etag, metadata={})

        assert s3.names == ["a", "done/a"]

    @pytest.mark.parametrize("response", [{}, {"CopyObjectResult": {}}])
    def test_a_response_that_does_not_confirm_the_copy(self, response: Any) -> None:
        s3 = FakeS3()
        stored = s3.store("a", b"1")
        s3.copy_object = lambda **_: response  # type: ignore[method-assign]

        with pytest.raises(TaskError, match=r"UnreadableResponse"):
            s3.bucket().finish("a", stored.etag, metadata={})

        assert s3.names == ["a"]


def test_a_bucket_has_its_name() -> None:
    assert Bucket(FakeS3().connect(), "other", option="--bucket").name == "other"
