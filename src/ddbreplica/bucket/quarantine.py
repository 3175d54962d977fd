"""Records that can never be written → objects in S3, each written once under a name of its own.

Object: {"schema": 1, "record": …, "reason": …, "error_code": …, "quarantined_at": …, "clock_ahead_seconds": …} at
quarantine/<replica table>/<stream label>/<sequence number or event id>-<request id>-<nonce>.json

The name contains nothing of the item: the hash of a short key could be reversed by trying all keys. Each put has
`If-None-Match: *`, which the bucket's policy demands, so that no object can be overwritten.
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
"""So many different records in one container, with no item put between them, and the fault is not the records'."""

PUT_SECONDS = 8.0
"""What has to be left when a record is put: 6 s for that (to connect, for TLS, to send: 1 s each; for the answer:
3 s), and 2 s to answer Lambda."""

CLIENT_CONFIG = Config(
    # One attempt a request: repeating is ours, since the deadline is.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=3,
    tcp_keepalive=True,
)

_OUT_OF_TIME = Refusal(
    RefusalKind.TRANSIENT, "OutOfTime", "the invocation's time was used up before the record was kept"
)
_UNSAID = Refusal(
    RefusalKind.TRANSIENT, "MissingETag", "the answer does not say that the object was stored: not S3's own"
)


def connect() -> "S3Client":
    """A client with short timeouts. It takes a while to make, and most containers never need one."""
    client = boto3.client("s3", config=CLIENT_CONFIG)
    # botocore sends HeadBucket after a redirect that names no Region. S3 names the Region. A gateway that does not
    # would redirect HeadBucket too, and botocore would send hundreds: so it is never sent.
    unknown = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPHeaders": {}}}
    respond(client, "s3.HeadBucket", 404, unknown)
    return client


@dataclass(frozen=True, slots=True)
class QuarantineResult:
    """How many records were kept, and the first of each sort that could not be."""

    poison: int
    in_doubt: int
    failures: tuple[Failure, ...]


class Quarantine:
    """The bucket's part for one replica table, by its name; it counts how many records in a row it was given."""

    def __init__(
        self,
        bucket: str,
        *,
        table: str,
        connect: Callable[[], "S3Client"] = connect,
        skew: Skew | None = None,
    ) -> None:
        """Take the bucket by its name. Nothing is connected before the first record.

        `skew` is that of the clock which signs the writes: each object says how far ahead it was.
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
        """Keep all suspects, and the poison that stands before the failure that Lambda will be told of.

        Call it when all writes have ended: a record seen too early could be healed and then overwritten. What
        stands behind a failure comes again, and is not kept now.
        Raises QuarantineError if the bucket is missing or denied, or if there is too much with no put applied.
        """
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
        # The count outlives the invocation: bisecting a batch would undercut any bound on a single one.
        # Deletes do not end it: the wrong table takes them too. A record that is delivered again is counted once.
        if puts_applied:
            self._in_a_row.clear()
            return
        # Without a new one nothing is refused, however many a batch with a put has left.
        in_a_row = self._in_a_row.union(map(_identity, records))
        if in_a_row != self._in_a_row and len(in_a_row) > MAX_IN_A_ROW:
            raise QuarantineError(
                f"{len(in_a_row)} records in a row could not be applied, and no item between them was put.",
                hint="Compare the replica's key and index types with the source's items; nothing was acknowledged."
                " If the records are wrong indeed, any change of the function's configuration counts anew.",
            )

    def _put_each(
        self, records: Iterable[Quarantined], request_id: str, deadline: Deadline
    ) -> tuple[int, Failure | None]:
        """Put objects in the batch's order up to the first that fails, so that none stands behind a failure."""
        ordered = _in_order(records)
        for kept, record in enumerate(ordered):
            refusal = self._put(record, request_id, deadline)
            if refusal is not None:
                return kept, Failure(record.position, record.sequence_number, refusal)
        return len(ordered), None

    def _put(self, record: Quarantined, request_id: str, deadline: Deadline) -> Refusal | None:
        """Put one object, under a new name each time; return why it could not be, for now.

        A name that is taken (412) says nothing of this record, and a conflict (409) stores nothing: both are repeated
        under a new name, so that a record may be kept twice and is never reported as kept without an object.
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
        if refusal is not None and refusal.kind is RefusalKind.FAULT:
            raise QuarantineError(
                f"The quarantine bucket {self._bucket} refuses: {refusal.code}: {refusal.message}.",
                hint="Look at QUARANTINE_BUCKET and at the role's s3:PutObject; nothing was acknowledged.",
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
        return None if "ETag" in response else _UNSAID

    @cached_property
    def _client(self) -> "S3Client":
        try:
            return self._connect()
        except Exception as error:  # nothing was sent: whatever is wrong is wrong with the settings
            raise QuarantineError(
                f"A client for the quarantine bucket {self._bucket} cannot be created:"
                f" {type(error).__name__}: {str(error).rstrip('.')}.",
                hint="Check the function's environment variables whose names begin with AWS_; no record of the batch"
                " was checkpointed.",
            ) from error

    def _name(self, record: Quarantined, request_id: str) -> str:
        # Lambda keeps the request id when it repeats a batch, so that only the nonce is new with every writing: a
        # redrive that is still at work on the first object would otherwise remove the second with it.
        parts = (
            record.sequence_number or _event_id(record) or "none",
            request_id,
            secrets.token_hex(8),
        )
        label = _safe(_stream_label(record.record))
        return f"quarantine/{self._table}/{label}/{'-'.join(_safe(str(part)) for part in parts)}.json"


def _in_order(records: Iterable[Quarantined]) -> list[Quarantined]:
    return sorted(records, key=lambda record: record.position)


def _identity(record: Quarantined) -> str:
    """The same for a record that is delivered again."""
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
