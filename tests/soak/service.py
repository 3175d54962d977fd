"""Simulate DynamoDB and S3 in memory, with the faults of the weather at each request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from ddbreplica.model import Image, Key
from ddbreplica.records.decode import key_of
from tests.soak.history import is_refused
from tests.soak.weather import DESCRIBE_FAULTS, QUARANTINE_FAULTS, WRITE_FAULTS, Weather
from tests.support import wire
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.function import Context
from tests.support.wire import FOREIGN, answered, error, response

Answer: TypeAlias = tuple[int, Any]

_URL = "https://dynamodb.us-east-1.amazonaws.com/"
_READ_TIMEOUT = 5.0
_BUCKET_READ_TIMEOUT = 3.0
_INVALID = error("ValidationException", message="One or more parameter values were invalid")
_RESPONSES: Mapping[str, Answer] = {
    "throttled": error("ThrottlingException"),
    "over provisioned throughput": error("ProvisionedThroughputExceededException"),
    "500, not applied": error("InternalServerError", 500),
    "500, applied": error("InternalServerError", 500),
    "503 without a body": (503, b""),
    "response is not JSON, applied": (200, b"<html>a proxy's page</html>"),
    "response of another request, applied": (
        200,
        {"UnprocessedItems": {"t": [{"DeleteRequest": {"Key": {"PK": {"S": "?"}}}}]}},
    ),
    "conflicts with a transaction": error("TransactionConflictException"),
    "access denied for a while": error("AccessDeniedException"),
    "table missing for a while": error("ResourceNotFoundException"),
}
_BUCKET_CODES: Mapping[str, str] = {
    "slow down": "SlowDown",
    "500, stored": "InternalError",
    "conflict": "ConditionalRequestConflict",
    "repeated on the way, stored": "PreconditionFailed",
    "bucket missing for a while": "NoSuchBucket",
    "access denied for a while": "AccessDenied",
}


class KilledError(BaseException):
    """The execution environment ended; nothing of the invocation continues."""


class _NoResponse:
    """A response that never arrives. Reading it raises the error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    @property
    def status_code(self) -> int:
        raise self._error


@dataclass
class Table:
    """The replica table. `weather` and `context` belong to the current invocation."""

    schema: Mapping[str, str]
    weather: Weather
    context: Context = field(default_factory=Context)
    items: dict[Key, Image] = field(default_factory=dict)
    requests: int = 0
    late: "list[_Writes]" = field(default_factory=list)

    def answer(self, operation: str, body: Any) -> AWSResponse | _NoResponse:
        """Return the response to a request. A fault may occur before or after the request is performed."""
        self.requests += 1
        if self.late and self.weather.chance.random() < 0.2:
            self._write("BatchWriteItem", self.late.pop(0))
        if operation == "DescribeTable":
            return self._with_fault(self.weather.strikes(DESCRIBE_FAULTS), self._describe)
        writes = _writes(operation, body)
        return self._with_fault(
            self.weather.strikes(WRITE_FAULTS), lambda: self._write(operation, writes), writes
        )

    def _with_fault(
        self, fault: str | None, carry_out: Callable[[], Answer], writes: "_Writes" = ()
    ) -> AWSResponse | _NoResponse:
        what = fault.partition(": ")[2] if fault else ""
        if what.endswith(", applied") or what in ("slow response", "killed after it is applied"):
            status, body = carry_out()
            if (
                status != 200
            ):  # the table rejects the request: nothing was applied, and the client gets the error
                return response(_URL, status, body)
        if what.startswith("killed"):
            return _NoResponse(KilledError())
        if what.endswith("lands later"):
            self.late.append(writes)
        if what.startswith("connection dropped"):
            return _NoResponse(ConnectionClosedError(endpoint_url=_URL))
        if what.startswith("no response in time"):
            self._wait(_READ_TIMEOUT)
            return _NoResponse(ReadTimeoutError(endpoint_url=_URL))
        if what == "slow response":
            self._wait(self.weather.chance.uniform(0, _READ_TIMEOUT))
            return response(_URL, 200, body)
        return answered(_URL, self._response_to(what, carry_out, writes))

    def _response_to(self, what: str, carry_out: Callable[[], Answer], writes: "_Writes") -> wire.Answer:
        if what in _RESPONSES:
            return _RESPONSES[what]
        if what.startswith("a gateway's page"):
            return 504, b"<html>504 Gateway Time-out</html>", FOREIGN
        if what == "some items unprocessed":
            return self._write_some(writes, carry_out)
        status, body = carry_out()
        if what == "table is being updated":
            body = {"Table": body["Table"] | {"TableStatus": "UPDATING"}}
        return status, body

    def land(self) -> None:
        """Perform the late writes, whose requests got no response."""
        while self.late:
            self._write("BatchWriteItem", self.late.pop(0))

    def _wait(self, seconds: float) -> None:
        self.context.sleep(seconds)
        if self.context.seconds_left <= 0:
            raise KilledError  # Lambda ends an invocation at its timeout

    def _describe(self) -> Answer:
        return 200, {
            "Table": {
                "TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica",
                "TableStatus": "ACTIVE",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name in self.schema],
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": tag} for name, tag in self.schema.items()
                ],
            }
        }

    def _write(self, operation: str, writes: "_Writes") -> Answer:
        keys = [self._key(attributes) for _, attributes in writes]
        if len(set(keys)) < len(keys) or len(keys) > 25:
            return _INVALID
        if any(is_put and is_refused(attributes) for is_put, attributes in writes):
            return _INVALID
        for key, (is_put, attributes) in zip(keys, writes, strict=True):
            if is_put:
                self.items[key] = attributes
            else:
                self.items.pop(key, None)
        return 200, {"UnprocessedItems": {}} if operation == "BatchWriteItem" else {}

    def _write_some(self, writes: "_Writes", carry_out: Callable[[], Answer]) -> Answer:
        """Leave a random part of a batch unprocessed; throttle a request of a single write."""
        left = [write for write in writes if self.weather.chance.random() < 0.5]
        if len(left) == len(writes) or len(writes) == 1 or any(is_refused(item) for _, item in writes):
            return error("ThrottlingException")
        self._write("BatchWriteItem", [write for write in writes if write not in left])
        return 200, {"UnprocessedItems": {"logfile_replica": [_as_request(*write) for write in left]}}

    def _key(self, attributes: Image) -> Key:
        return key_of({name: attributes[name] for name in self.schema})


_Writes: TypeAlias = "list[tuple[bool, Image]] | tuple[()]"


def _writes(operation: str, body: Any) -> _Writes:
    """Return the puts (True) and deletes (False) of a request."""
    match operation:
        case "PutItem":
            return [(True, body["Item"])]
        case "DeleteItem":
            return [(False, body["Key"])]
    (requests,) = body["RequestItems"].values()
    return [
        (True, one["PutRequest"]["Item"]) if "PutRequest" in one else (False, one["DeleteRequest"]["Key"])
        for one in requests
    ]


def _as_request(is_put: bool, attributes: Image) -> dict[str, Any]:
    return {"PutRequest": {"Item": attributes}} if is_put else {"DeleteRequest": {"Key": attributes}}


class Bucket(FakeBucket):
    """The quarantine bucket. `context` belongs to the current invocation."""

    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather
        self.context = Context()

    def put_object(self, *, Key: str, Body: bytes, **other: Any) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        fault = self.weather.strikes(QUARANTINE_FAULTS)
        what = fault.partition(": ")[2] if fault else ""
        if what in ("", "killed after") or what.endswith(", stored"):
            answer = super().put_object(Key=Key, Body=Body, **other)
        if what:
            self._refuse(what)
        return answer

    def _refuse(self, what: str) -> None:
        if what.startswith("killed"):
            raise KilledError
        if what.startswith("connection dropped"):
            raise ConnectionClosedError(endpoint_url=_URL)
        if what.startswith("no response in time"):
            self.context.sleep(_BUCKET_READ_TIMEOUT)
            raise ReadTimeoutError(endpoint_url=_URL)
        raise s3_error(_BUCKET_CODES[what])
