"""Keep records that can never be written as S3 objects, each written once under a new name.

Object: {"schema": 1, "record": …, "reason": …, "error_code": …, "quarantined_at": …, "clock_ahead_seconds": …} at
quarantine/<replica table>/<stream label>/<sequence number or event id>-<request id>-<nonce>.json

The name of a record that is in doubt ends in `-in-doubt.json`, so that a listing shows what a scheduled redrive has to
read. The name contains nothing of the item: the hash of a short key could be reversed by trying all keys. Each put has
`If-None-Match: *`, which the bucket's policy requires, so that no object can be overwritten.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from ddbreplica.aws.botocore_private import respond
from ddbreplica.aws.clock import Skew
from ddbreplica.aws.refusal import asked, foreign, is_from_aws
from ddbreplica.deadline import Deadline
from ddbreplica.errors import QuarantineError
from ddbreplica.model import Failure, Quarantined, Refusal, RefusalKind
from ddbreplica.records.batch_item_failures import checkpoint

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_IN_A_ROW = 100
"""The most different records that one execution environment quarantines without putting an item between them.

If there are more, the deployment is at fault: for example, an index of the replica has a key of another type.
"""

PUT_SECONDS = 8.0
"""The time that has to be left when a record is put. The put takes up to 6 s: 1 s each to connect, for TLS and to send,
and 3 s for the response. The remaining 2 s are for the response to Lambda."""

IN_DOUBT_SUFFIX = "-in-doubt.json"
"""The end of the names of in-doubt records."""

CLIENT_CONFIG = Config(
    # One attempt for each request. This module repeats it, since it knows the deadline of the invocation.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=3,
    tcp_keepalive=True,
)

_OUT_OF_TIME = Refusal(
    RefusalKind.TRANSIENT, "OutOfTime", "the invocation's time was used up before the record was kept"
)
_INCOMPLETE = Refusal(
    RefusalKind.TRANSIENT, "MissingETag", "the response does not confirm that the object was stored"
)


def connect() -> "S3Client":
    """Return a client with short timeouts. Creating it takes time, and most execution environments never need it."""
    client = boto3.client("s3", config=CLIENT_CONFIG)
    # After a redirect without a Region botocore sends HeadBucket to find the Region. S3's redirects have the Region. A
    # gateway whose redirects lack it would redirect HeadBucket as well, and botocore would send hundreds of them.
    unknown = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPHeaders": {}}}
    respond(client, "s3.HeadBucket", 404, unknown)
    return client


@dataclass(frozen=True, slots=True)
class QuarantineResult:
    """The numbers of records that were kept, and the first poison and in-doubt record that could not be kept."""

    poison: int
    in_doubt: int
    failures: tuple[Failure, ...]


class Quarantine:
    """The quarantined records of one replica table. It counts how many records in a row were quarantined."""

    def __init__(
        self,
        bucket: str,
        *,
        table: str,
        connect: Callable[[], "S3Client"] = connect,
        skew: Skew | None = None,
    ) -> None:
        """Take the name of the bucket. The client is created when the first record is kept.

        `skew` is how far the clock of the function is ahead of AWS. It is stored in each object.
        """
        self._bucket = bucket
        self._table = table
        self._connect = connect
        self._skew = skew or Skew()
        self._in_a_row: set[str] = set()

    def keep(
        self,
        poison: Sequence[Quarantined],
        in_doubt: Sequence[Quarantined],
        *,
        before: Failure | None,
        puts_applied: int,
        request_id: str,
        deadline: Deadline,
    ) -> QuarantineResult:
        """Keep the records of all in-doubt writes, and the poison records before the failure that is reported.

        Call it when all writes have ended: otherwise a redrive could reconcile a key, and a later write of this batch
        undo that. Lambda delivers all records after the failure again, so that they are not kept now.
        Raises QuarantineError if the bucket is missing or denied, or if too many records in a row were kept.
        """
        # In-doubt writes are kept wherever they are in the batch: a repetition of the batch knows nothing of them.
        kept_in_doubt, failure = self._put_each(in_doubt, request_id, deadline)
        first = checkpoint(filter(None, (before, failure)))
        due = [record for record in poison if first is None or record.position < first.position]
        self._admit(due, puts_applied=puts_applied)
        kept, failure_of_poison = self._put_each(due, request_id, deadline)
        self._in_a_row.update(_identity(record) for record in _in_order(due)[:kept])
        return QuarantineResult(
            poison=kept, in_doubt=kept_in_doubt, failures=tuple(filter(None, (failure, failure_of_poison)))
        )

    def _admit(self, records: Iterable[Quarantined], *, puts_applied: int) -> None:
        # The count continues over invocations: bisecting a batch would defeat a limit for a single one. Deletes do not
        # end it, since the wrong table accepts them too. A record that is delivered again is counted once.
        if puts_applied:
            self._in_a_row.clear()
            return
        # A batch without a new record is not refused: a batch with a put may have left more than the limit.
        in_a_row = self._in_a_row.union(map(_identity, records))
        if in_a_row != self._in_a_row and len(in_a_row) > MAX_IN_A_ROW:
            raise QuarantineError(
                f"{len(in_a_row)} records in a row could not be applied, and no item between them was put.",
                hint="Compare the types of the replica's key and indexes, and the rules of a transform, with the"
                " source's items; no record of the batch was checkpointed. If the items themselves are wrong, change"
                " the function's configuration in any way: the count then restarts.",
            )

    def _put_each(
        self, records: Iterable[Quarantined], request_id: str, deadline: Deadline
    ) -> tuple[int, Failure | None]:
        """Put objects in the order of the batch, up to the first failure, so that no record after it is kept."""
        ordered = _in_order(records)
        for kept, record in enumerate(ordered):
            try:
                refusal = self._put(record, request_id, deadline)
            except QuarantineError as error:
                error.in_doubt_lost = sum(each.is_in_doubt for each in ordered[kept:])
                raise
            if refusal is not None:
                return kept, Failure(record.position, record.sequence_number, refusal)
        return len(ordered), None

    def _put(self, record: Quarantined, request_id: str, deadline: Deadline) -> Refusal | None:
        """Put one object, under a new name in each attempt. Return the last refusal if no attempt succeeded.

        If the name exists (412), that object may be another one, since the function may not read; a conflict (409)
        stores nothing. After both the record is put under a new name. So it may be kept twice, but it is never reported
        as kept without an object.
        """
        refusal: Refusal | None = _OUT_OF_TIME
        for _ in deadline.attempts(then=PUT_SECONDS):
            refusal = self._put_once(record, request_id)
            if refusal is None:
                break
        return refusal

    def _put_once(self, record: Quarantined, request_id: str) -> Refusal | None:
        name, body = self._name(record, request_id), _body(record, clock_ahead_seconds=self._skew.ahead)
        client = self._client
        refusal = asked(lambda: self._stored(client, name, body))
        # Raised, since Lambda does not count a reported record as an error, and the alarm on errors would not fire.
        if refusal is not None and refusal.kind is RefusalKind.FAULT:
            raise QuarantineError(
                f"The quarantine bucket {self._bucket} refuses the record: {refusal.code}: {refusal.message}.",
                hint="Check QUARANTINE_BUCKET and the role's permission s3:PutObject; no record of the batch was"
                " checkpointed.",
                code=refusal.code,
            )
        return refusal

    def _stored(self, client: "S3Client", name: str, body: bytes) -> Refusal | None:
        response = client.put_object(
            Bucket=self._bucket, Key=name, Body=body, ContentType="application/json", IfNoneMatch="*"
        )
        metadata = response["ResponseMetadata"]
        if not is_from_aws(metadata["HTTPHeaders"]):
            return foreign(metadata["HTTPStatusCode"])
        # botocore reads a page without content as a success. Only an ETag shows that the object exists.
        return None if "ETag" in response else _INCOMPLETE

    @cached_property
    def _client(self) -> "S3Client":
        try:
            return self._connect()
        except Exception as error:  # no request was sent, so the settings are at fault
            raise QuarantineError(
                f"A client for the quarantine bucket {self._bucket} cannot be created:"
                f" {type(error).__name__}: {str(error).rstrip('.')}.",
                hint="Check the function's environment variables whose names begin with AWS_; no record of the batch"
                " was checkpointed.",
            ) from error

    def _name(self, record: Quarantined, request_id: str) -> str:
        # Lambda repeats a batch under the same request id, so only the nonce makes a new name. With the same name a
        # redrive that works on the first object would remove the second one with it.
        parts = (
            record.sequence_number or _event_id(record) or "none",
            request_id,
            secrets.token_hex(8),
        )
        label = _safe(_stream_label(record.record))
        suffix = IN_DOUBT_SUFFIX if record.is_in_doubt else ".json"
        return f"quarantine/{self._table}/{label}/{'-'.join(_safe(str(part)) for part in parts)}{suffix}"


def _in_order(records: Iterable[Quarantined]) -> list[Quarantined]:
    return sorted(records, key=lambda record: record.position)


def _identity(record: Quarantined) -> str:
    """Return an identity of a record that is the same when the record is delivered again."""
    number = record.sequence_number or _event_id(record) or json.dumps(record.record)
    return f"{_stream_label(record.record)}/{number}"


def _event_id(record: Quarantined) -> Any:
    return record.record.get("eventID") if isinstance(record.record, dict) else None


def _stream_label(record: object) -> str:
    arn = record.get("eventSourceARN") if isinstance(record, dict) else None
    return (arn.partition("/stream/")[2] if isinstance(arn, str) else "") or "none"


def _safe(part: str) -> str:
    return re.sub(r"[^0-9A-Za-z:._-]", "_", part)[:128]


def _body(record: Quarantined, *, clock_ahead_seconds: float | None) -> bytes:
    content: dict[str, Any] = {
        "schema": 1,
        "record": record.record,
        "reason": record.reason,
        "error_code": record.error_code,
        "quarantined_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "clock_ahead_seconds": clock_ahead_seconds,
    }
    return json.dumps(content).encode()
