"""A versioned bucket in memory that replaces boto3's S3 client: it lists, reads, copies and deletes as S3 does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import md5
from io import BytesIO
from typing import Any

from ddbreplica.bucket.bucket import Bucket
from tests.support.fake_bucket import METADATA, FakeBucket, s3_error

NOW = datetime(2026, 11, 28, 18, tzinfo=UTC)
"""The date of every response, unless a test changes `now`."""

NAME = "bucket"


@dataclass
class Stored:
    """A version of an object; a delete marker has no body."""

    name: str
    id: str
    body: bytes | None
    at: datetime
    metadata: Any = None

    @property
    def etag(self) -> str:
        return f'"{md5(self.body or b"", usedforsecurity=False).hexdigest()}"'


class FakeS3(FakeBucket):
    """Keeps all versions of its objects. `requests` are the operations that were requested, with their objects.

    `before` is called before every request. It may raise the error of the request, or change the objects.
    """

    def __init__(self, *, page: int = 2) -> None:
        super().__init__()
        self.versions: list[Stored] = []
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _operation, _name: None
        self.now: Callable[[], datetime] = lambda: NOW
        self._page = page
        self._count = 0

    def bucket(self) -> Bucket:
        return Bucket(self.connect(), NAME, option="--bucket")

    def refuse(self, refused: str, code: str) -> None:
        """Refuse every request of an operation with this error."""

        def refuse(operation: str, _name: str) -> None:
            if operation == refused:
                raise s3_error(code, "why")

        self.before = refuse

    def store(self, name: str, body: bytes | None, *, age: float = 0.0, metadata: Any = None) -> Stored:
        """Store a version as if so many seconds ago. Without a body it is a delete marker."""
        self._count += 1
        stored = Stored(name, f"v{self._count}", body, self.now() - timedelta(seconds=age), metadata)
        self.versions.append(stored)
        return stored

    def present(self, name: str) -> Stored | None:
        """Return the version that a request by name alone finds."""
        latest = self._latest(name)
        return latest if latest and latest.body is not None else None

    @property
    def names(self) -> list[str]:
        return sorted({each.name for each in self.versions if self.present(each.name)})

    def put_object(self, *, Key: str, Body: bytes, **other: Any) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        response = super().put_object(Key=Key, Body=Body, **other)
        self.store(Key, Body)
        return response

    def get_paginator(self, operation: str) -> "_Paginator":
        return _Paginator(
            {"list_objects_v2": self._objects, "list_object_versions": self._versions}[operation]
        )

    def get_object(self, *, Bucket: str, Key: str, **which: Any) -> dict[str, Any]:  # noqa: N803
        self._ask("get", Bucket, Key)
        found = self._find(Key, which)
        return {"Body": BytesIO(found.body or b""), "ETag": found.etag, "ResponseMetadata": METADATA}

    def copy_object(self, *, Bucket: str, Key: str, **how: Any) -> dict[str, Any]:  # noqa: N803
        source = how["CopySource"]
        assert how["ContentType"] == "application/json"
        assert how["MetadataDirective"] == "REPLACE"
        self._ask("copy", Bucket, source["Key"])
        found = self._find(source["Key"], {})
        if found.etag != how["CopySourceIfMatch"]:
            raise s3_error("PreconditionFailed")
        assert source["Bucket"] == NAME
        self.store(Key, found.body, metadata=how["Metadata"])
        return {"CopyObjectResult": {"ETag": found.etag}, "ResponseMetadata": METADATA}

    def delete_object(self, *, Bucket: str, Key: str, **which: Any) -> dict[str, Any]:  # noqa: N803
        self._ask("delete", Bucket, Key)
        if "VersionId" in which:
            self.versions = [each for each in self.versions if each.id != which["VersionId"]]
            return {"ResponseMetadata": METADATA}
        if self._find(Key, {}).etag != which["IfMatch"]:
            raise s3_error("PreconditionFailed")
        self.store(Key, None)
        return {"ResponseMetadata": METADATA}

    def _ask(self, operation: str, bucket: str, name: str) -> None:
        assert bucket == NAME
        self.requests.append((operation, name))
        self.before(operation, name)

    def _find(self, name: str, which: dict[str, Any]) -> Stored:
        if "VersionId" in which:
            version = which["VersionId"]
            assert version is not None
            for each in self.versions:
                if (each.name, each.id) == (name, version):
                    return each
            raise s3_error("NoSuchVersion")
        found = self.present(name)
        if found is None:
            raise s3_error("NoSuchKey")
        return found

    def _latest(self, name: str) -> Stored | None:
        named = [each for each in self.versions if each.name == name]
        return named[-1] if named else None

    def _objects(self, prefix: str, after: str = "") -> Iterator[dict[str, Any]]:
        found = [self.present(name) for name in self.names if name.startswith(prefix) and name > after]
        listed = [
            {"Key": each.name, "Size": len(each.body or b""), "LastModified": each.at}
            for each in found
            if each
        ]
        for page in self._pages(listed):
            self._ask("list", NAME, prefix)
            contents = {"Contents": page} if page else {}
            date = format_datetime(self.now(), usegmt=True)
            yield {"KeyCount": len(page), "ResponseMetadata": {"HTTPHeaders": {"date": date}}, **contents}

    def _versions(self, prefix: str) -> Iterator[dict[str, Any]]:
        found = [each for each in self.versions if each.name.startswith(prefix)]
        for page in self._pages(sorted(found, key=lambda each: each.name)):
            self._ask("versions", NAME, prefix)
            yield {
                "Name": NAME,
                "Versions": [self._version(each) for each in page if each.body is not None],
                "DeleteMarkers": [self._version(each) for each in page if each.body is None],
            }

    def _version(self, stored: Stored) -> dict[str, Any]:
        version = {
            "Key": stored.name,
            "VersionId": stored.id,
            "IsLatest": stored is self._latest(stored.name),
            "LastModified": stored.at,
        }
        if stored.body is not None:
            version |= {"Size": len(stored.body), "ETag": stored.etag}
        return version

    def _pages(self, listed: list[Any]) -> Iterator[list[Any]]:
        """Yield the pages of a list: at least one, which may be empty."""
        for start in range(0, max(len(listed), 1), self._page):
            yield listed[start : start + self._page]


class _Paginator:
    def __init__(self, pages: Callable[..., Iterator[dict[str, Any]]]) -> None:
        self._pages = pages

    def paginate(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        StartAfter: str | None = None,  # noqa: N803
        Delimiter: str | None = None,  # noqa: N803
    ) -> Iterator[dict[str, Any]]:
        assert Bucket == NAME
        if Delimiter is not None:
            return _folded(self._pages(Prefix), Prefix, Delimiter)
        assert StartAfter != ""
        return self._pages(Prefix) if StartAfter is None else self._pages(Prefix, StartAfter)


def _folded(pages: Iterator[dict[str, Any]], prefix: str, delimiter: str) -> Iterator[dict[str, Any]]:
    """Yield the pages with the beginnings of the names that have the delimiter, each once, instead of these names."""
    seen: set[str] = set()
    for page in pages:
        names = [each["Key"].removeprefix(prefix) for each in page.pop("Contents", ())]
        folders = {name.partition(delimiter)[0] for name in names if delimiter in name} - seen
        seen |= folders
        yield {
            **page,
            "CommonPrefixes": [{"Prefix": f"{prefix}{each}{delimiter}"} for each in sorted(folders)],
        }
