"""verifications: the record of a verification is written once, and the newest record is found in few requests."""

import tomllib
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.bucket import verifications
from ddbreplica.bucket.verification_record import MAX_BYTES, VerificationRecord, body_of
from ddbreplica.bucket.verifications import MAX_INCONCLUSIVE, keep, newest, version
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from tests.support.fake_bucket import METADATA, s3_error
from tests.support.fake_s3 import NAME as BUCKET
from tests.support.fake_s3 import NOW, FakeS3
from tests.support.verified import RECORD, record

PREFIX = "verifications/logfile_replica/"


def connected(s3: FakeS3) -> Connection:
    replica = SimpleNamespace(short_name="logfile_replica")
    return cast(Connection, SimpleNamespace(buckets=s3.connect(), replica=replica))


def kept(s3: FakeS3, kept: VerificationRecord = RECORD) -> list[str]:
    """Keep a record, and return the notes."""
    notes: list[str] = []
    keep(connected(s3), BUCKET, kept, note=notes.append)
    return notes


def at(moment: datetime, **changes: Any) -> VerificationRecord:
    return record(began=moment, ended=moment, **changes)


def stored(s3: FakeS3, *ages: timedelta) -> list[VerificationRecord]:
    """Store a record of each age."""
    records = [at(NOW - age) for age in ages]
    for each, age in zip(records, ages, strict=True):
        s3.store(each.name, body_of(each), age=age.total_seconds())
    return records


def found(s3: FakeS3) -> VerificationRecord | None:
    """Return the newest record, which is conclusive, or None."""
    records = newest(connected(s3), BUCKET, now=NOW)
    assert len(records) <= 1
    return records[0] if records else None


def refused(s3: FakeS3) -> TaskError:
    with pytest.raises(TaskError) as caught:
        found(s3)
    return caught.value


class TestKeep:
    def test_a_record_is_one_private_object_that_is_never_overwritten(self) -> None:
        s3 = FakeS3()

        assert kept(s3) == []
        assert s3.objects == {RECORD.name: body_of(RECORD)}
        assert s3.buckets == {BUCKET}

    def test_the_same_verification_again_changes_nothing(self) -> None:
        s3 = FakeS3()
        kept(s3)

        assert kept(s3, record(verdict="not equal")) == []
        assert s3.objects == {RECORD.name: body_of(RECORD)}

    @pytest.mark.parametrize("code", ["PreconditionFailed", "412"])
    def test_a_record_that_was_stored_without_a_response_is_recognised(self, code: str) -> None:
        assert kept(FakeS3(), RECORD) == kept(failing(s3_error(code)), RECORD) == []

    @pytest.mark.parametrize("code", ["ConditionalRequestConflict", "409"])
    def test_a_conflict_is_tried_again(self, code: str) -> None:
        s3 = failing(s3_error(code), s3_error(code))

        assert kept(s3) == []
        assert s3.objects.keys() == {RECORD.name}

    def test_a_lasting_conflict_is_noted(self) -> None:
        s3 = failing(*[s3_error("ConditionalRequestConflict")] * 5)

        assert kept(s3) == [note("ConditionalRequestConflict: no")]
        assert s3.calls == 3

    def test_without_permission_one_line_says_so(self) -> None:
        s3 = failing(s3_error("AccessDenied", "not you"))

        assert kept(s3) == [note("AccessDenied: not you")]
        assert s3.calls == 1

    def test_without_a_bucket_one_line_says_so(self) -> None:
        assert kept(failing(s3_error("NoSuchBucket"))) == [
            "This verification is not recorded for `ddbreplica status`: the bucket bucket does not exist."
        ]

    def test_without_a_response_one_line_says_so(self) -> None:
        (said,) = kept(failing(ReadTimeoutError(endpoint_url="https://s3")))

        assert said.startswith(note("ReadTimeoutError: "))

    def test_a_response_that_does_not_confirm_the_object_is_noted(self) -> None:
        s3 = FakeS3()
        s3.put_object = lambda **_: {"ResponseMetadata": METADATA}  # type: ignore[method-assign]

        assert kept(s3) == [note("UnreadableResponse: the response cannot be read: KeyError")]

    def test_a_client_that_cannot_be_created_is_noted(self) -> None:
        class Unconnected:
            @property
            def buckets(self) -> Any:
                raise TaskError("no Region is known.", hint="name one.")

        notes: list[str] = []
        keep(cast(Connection, Unconnected()), BUCKET, RECORD, note=notes.append)

        assert notes == ["This verification is not recorded for `ddbreplica status`: no Region is known."]


def failing(*faults: Exception) -> FakeS3:
    s3 = FakeS3()
    s3._faults = list(faults)
    return s3


def note(why: str) -> str:
    return (
        "This verification is not recorded for `ddbreplica status`: the objects in the bucket bucket cannot be"
        f" written: {why}"
    )


class TestNewest:
    def test_none(self) -> None:
        s3 = FakeS3()
        s3.store("verifications/logfile_replica2/2026-11-28T17:00:00.000000Z.json", b"{}")

        assert found(s3) is None
        assert s3.requests == [("list", PREFIX)] * 3

    @pytest.mark.parametrize(("days", "requests"), [(0, 1), (1.9, 1), (2.1, 2), (31, 2), (33, 3), (399, 3)])
    def test_the_newest_is_found_in_few_requests(self, days: float, requests: int) -> None:
        s3 = FakeS3(page=1000)
        *_, last = stored(s3, *(timedelta(days=days + before) for before in (400, 40, 5, 1, 0)))

        assert found(s3) == last
        assert s3.requests == [*[("list", PREFIX)] * requests, ("get", last.name)]

    def test_ten_thousand_records_take_one_request_for_each_thousand_of_two_days(self) -> None:
        s3 = FakeS3(page=1000)
        *_, last = stored(s3, *(timedelta(hours=hours) for hours in range(9_999, -1, -1)))

        assert found(s3) == last
        assert s3.requests == [("list", PREFIX), ("get", last.name)]

    def test_ten_thousand_old_records_are_read_to_their_end(self) -> None:
        s3 = FakeS3(page=1000)
        *_, last = stored(s3, *(timedelta(days=33, minutes=minutes) for minutes in range(9_999, -1, -1)))

        assert found(s3) == last
        assert s3.requests.count(("list", PREFIX)) == 12

    def test_more_than_ten_thousand_objects_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verifications, "MAX_LISTED", 3)
        s3 = FakeS3()
        stored(s3, *(timedelta(hours=hours) for hours in range(6)))

        error = refused(s3)

        assert error.fact == f"more than 3 objects are in s3://bucket/{PREFIX}."
        assert error.hint == "delete the objects there that ddbreplica did not write."
        assert s3.requests == [("list", PREFIX)] * 2

    def test_as_many_objects_as_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verifications, "MAX_LISTED", 3)
        s3 = FakeS3()
        *_, last = stored(s3, *(timedelta(hours=hours) for hours in (2, 1, 0)))

        assert found(s3) == last

    def test_an_object_that_has_no_name_of_a_record_is_ignored(self) -> None:
        s3 = FakeS3()
        (only,) = stored(s3, timedelta(hours=1))
        s3.store(f"{PREFIX}zzz", b"not a record")
        s3.store(f"{PREFIX}2026-11-28T17:30:00.000000Z.json/x", b"not a record")

        assert found(s3) == only

    def test_a_record_that_expires_meanwhile(self) -> None:
        s3 = FakeS3()
        older, newer = stored(s3, timedelta(hours=2), timedelta(hours=1))

        def expire(operation: str, name: str) -> None:
            if (operation, name) == ("get", newer.name):
                s3.store(name, None)

        s3.before = expire

        assert found(s3) == older

    def test_inconclusive_records_are_followed_by_the_newest_conclusive_one(self) -> None:
        s3 = FakeS3(page=1000)
        verdicts = ("equal", "not equal", "inconclusive", "inconclusive", "inconclusive")
        ages = (timedelta(days=50), timedelta(days=40), timedelta(days=10), timedelta(days=1), timedelta(0))
        records = [at(NOW - age, verdict=verdict) for age, verdict in zip(ages, verdicts, strict=True)]
        for each in records:
            s3.store(each.name, body_of(each))

        assert newest(connected(s3), BUCKET, now=NOW) == records[:0:-1]
        assert [operation for operation, _ in s3.requests] == [
            "list",
            "get",
            "get",
            "list",
            "get",
            "list",
            "get",
        ]

    def test_not_more_than_twenty_inconclusive_records_are_read(self) -> None:
        s3 = FakeS3(page=1000)
        for minutes in range(25):
            each = at(NOW - timedelta(minutes=minutes), verdict="inconclusive")
            s3.store(each.name, body_of(each))

        assert len(newest(connected(s3), BUCKET, now=NOW)) == MAX_INCONCLUSIVE == 20
        assert s3.requests.count(("list", PREFIX)) == 1

    def test_an_unreadable_object_is_not_passed_over_for_an_older_record(self) -> None:
        s3 = FakeS3()
        stored(s3, timedelta(hours=2))
        name = at(NOW).name
        s3.store(name, b"{}")

        error = refused(s3)

        assert error.fact == (
            f"the object s3://bucket/{name} is not a record of a verification: schema is missing or invalid."
        )
        assert error.hint == "use the version of ddbreplica that wrote the object, or delete it."

    def test_a_name_in_the_future_is_refused(self) -> None:
        s3 = FakeS3()
        ahead = at(NOW + timedelta(hours=1))
        s3.store(ahead.name, body_of(ahead))

        assert refused(s3).fact.endswith(" was stored before the verification began.")

    def test_an_object_that_is_too_large(self) -> None:
        s3 = FakeS3()
        last = at(NOW)
        s3.store(last.name, body_of(last).ljust(MAX_BYTES))
        assert found(s3) == last

        s3.store(last.name, body_of(last).ljust(MAX_BYTES + 1))
        assert refused(s3).fact.endswith(" has more than 524,288 bytes.")

    @pytest.mark.parametrize(("operation", "what"), [("list", "listed"), ("get", "read")])
    def test_denied(self, operation: str, what: str) -> None:
        s3 = FakeS3()
        stored(s3, timedelta(hours=1))
        s3.refuse(operation, "AccessDenied")

        assert refused(s3).fact == f"the objects in the bucket bucket cannot be {what}: AccessDenied: why"

    def test_a_bucket_that_does_not_exist(self) -> None:
        s3 = FakeS3()
        s3.refuse("list", "NoSuchBucket")

        assert refused(s3).hint.startswith(
            "check --stack-name, --profile and --endpoint-url; if it was deleted,"
        )


def test_the_version_is_that_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        version()
        == tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["version"]
    )

    def missing(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)

    assert version() is None
