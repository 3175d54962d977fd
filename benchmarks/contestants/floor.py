"""The floor: sign and send prepared bodies, as many at a time as ddbreplica does."""

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import urllib3

from benchmarks.contestants import Apply
from benchmarks.workloads import KEY

_REQUESTS_AT_A_TIME = 4
_TARGET = "DynamoDB_20120810.BatchWriteItem"
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_pool = ThreadPoolExecutor(_REQUESTS_AT_A_TIME)
_http = urllib3.PoolManager(maxsize=_REQUESTS_AT_A_TIME)
_url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]


def prepare(event: Any) -> Apply:
    """Send the last images of the batch, 25 per request. The bodies are built here and not measured."""
    bodies = tuple(_bodies(event["Records"]))
    if len(bodies) == 1:
        return lambda: _send(bodies[0])
    return lambda: list(_pool.map(_send, bodies))


def _bodies(records: Iterable[Any]) -> Iterable[bytes]:
    last = {record["dynamodb"]["Keys"][KEY]["S"]: record for record in records}
    writes = [_write(record) for record in last.values()]
    for start in range(0, len(writes), 25):
        items = {os.environ["REPLICA_TABLE_NAME"]: writes[start : start + 25]}
        yield json.dumps({"RequestItems": items}, separators=(",", ":")).encode()


def _write(record: Any) -> Any:
    if record["eventName"] == "REMOVE":
        return {"DeleteRequest": {"Key": record["dynamodb"]["Keys"]}}
    return {"PutRequest": {"Item": record["dynamodb"]["NewImage"]}}


def _send(body: bytes) -> None:
    response = _http.request("POST", _url, body=body, headers=_signed(body, datetime.now(UTC)))
    if response.json() != {"UnprocessedItems": {}}:
        raise AssertionError(response.data)


def _signed(body: bytes, now: datetime) -> Mapping[str, str]:
    """Return the headers of AWS Signature Version 4."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": _url.partition("//")[2],
        "x-amz-date": stamp,
        "x-amz-target": _TARGET,
    }
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{lines}\n{_SIGNED}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{os.environ['AWS_DEFAULT_REGION']}/dynamodb/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = _hmac(_signing_key(scope), to_sign).hex()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={_SIGNED}, Signature={signature}"
    )
    return {**headers, "authorization": authorization}


@lru_cache(maxsize=1)
def _signing_key(scope: str) -> bytes:
    key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
