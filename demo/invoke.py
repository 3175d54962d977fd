"""Invoke the function with an event file on an embedded AWS: `python -m demo.invoke FILE`.

The replica table is new and has the key of the event's records. No Docker is needed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.errors import ReplicatorError
from ddbreplica.handler import lambda_handler
from ddbreplica_cli.terminal import output
from demo.embedded import EmbeddedAws, embedded_aws
from demo.errors import DemoError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

REPLICA: Final = "replica"
QUARANTINE: Final = "quarantine"
TIMEOUT: Final = 60.0
"""The function's timeout in seconds, as in template.yaml."""

_KEY_TYPES: Final = ("HASH", "RANGE")


class EventError(DemoError):
    """The event file cannot be used."""


@dataclass(frozen=True, slots=True)
class Context:
    """The members of Lambda's context that the function reads."""

    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    ends_at: float = field(default_factory=lambda: time.monotonic() + TIMEOUT)

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left until the timeout."""
        return int((self.ends_at - time.monotonic()) * 1000)


def main() -> int:
    """Print the function's log, its response, the items of the replica and the quarantined records."""
    with output.escaping():
        return _main()


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.invoke", description="Invoke the function with an event on an embedded AWS."
    )
    parser.add_argument("event", help="a JSON file with the records of a DynamoDB stream; - reads stdin")
    try:
        event = read(parser.parse_args().event)
        keys = keys_of(event)
        with embedded_aws() as aws:
            create(aws, keys)
            return invoke(aws, event)
    except (DemoError, BotoCoreError, ClientError) as error:
        output.print_note(*f"Error: {error}".split("\n"))
        return 2
    except KeyboardInterrupt:
        return 130


def read(name: str) -> Any:
    """Return the content of an event file. Raises EventError if it is not JSON."""
    try:
        # As bytes: json recognizes the byte order mark that some editors write.
        return json.loads(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise EventError(f"{name} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise EventError(f"{name} is not JSON: {error}.") from error
    except RecursionError as error:
        raise EventError(f"{name} is not an event: its values are nested too deeply.") from error


def keys_of(event: Any) -> Mapping[str, str]:
    """Return the key attributes of the first record that has any, with their types.

    Raises EventError if no record has a key that a table can have.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    for record in records if isinstance(records, list) else ():
        try:
            keys = {name: next(iter(value)) for name, value in record["dynamodb"]["Keys"].items()}
        except (AttributeError, KeyError, StopIteration, TypeError):
            continue
        if 1 <= len(keys) <= len(_KEY_TYPES) and set(keys.values()) <= {"S", "N", "B"}:
            return keys
    raise EventError(
        "no record of the event has a primary key: one or two attributes of the type S, N or B.\n"
        "Try: use an event of a DynamoDB stream, such as events/insert.json or the output of"
        " `sam local generate-event dynamodb update`."
    )


def create(aws: EmbeddedAws, keys: Mapping[str, str]) -> None:
    """Create the replica table and the quarantine bucket."""
    aws.dynamodb.create_table(
        TableName=REPLICA,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": cast("Any", kind)} for name, kind in keys.items()
        ],
        KeySchema=[
            {"AttributeName": name, "KeyType": cast("Any", role)}
            for name, role in zip(keys, _KEY_TYPES, strict=False)
        ],
    )
    aws.s3.create_bucket(Bucket=QUARANTINE)


def invoke(aws: EmbeddedAws, event: Any) -> int:
    """Invoke the function and print what it did. Return 1 if it raises an error, as Lambda would report it."""
    # The user's profile or endpoint must not change where the function writes.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        {
            **aws.env,
            "REPLICA_TABLE_NAME": REPLICA,
            "QUARANTINE_BUCKET": QUARANTINE,
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "NO_PROXY": "127.0.0.1",
        }
    )
    output.print_data("Log:")
    try:
        response = lambda_handler(event, cast("LambdaContext", Context()))
    except ReplicatorError as error:
        output.print_data(f"\nThe invocation failed, and Lambda would deliver the batch again:\n  {error}")
        return 1
    _print("Response", [response])
    _print(f"Items of the table {REPLICA}", items(aws))
    _print(f"Records in the bucket {QUARANTINE}", quarantined(aws))
    return 0


def items(aws: EmbeddedAws) -> Sequence[Any]:
    """Return the items of the replica as DynamoDB JSON."""
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName=REPLICA, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def quarantined(aws: EmbeddedAws) -> Iterator[Any]:
    """Yield the reason and the event ID of each quarantined record."""
    pages = aws.s3.get_paginator("list_objects_v2").paginate(Bucket=QUARANTINE)
    for listed in (listed for page in pages for listed in page.get("Contents", ())):
        stored = json.load(aws.s3.get_object(Bucket=QUARANTINE, Key=listed["Key"])["Body"])
        yield {"reason": stored["reason"], "record": stored["record"].get("eventID")}


def _print(title: str, values: Any) -> None:
    lines = [f"  {json.dumps(value, default=_text, ensure_ascii=False)}" for value in values]
    output.print_data("\n".join((f"\n{title}:", *(lines or ["  (none)"]))))


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
