"""The function with a given replica and bucket, and a context to invoke it with."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.deadline import Deadline, deadline_of
from ddbreplica.handler import Replicator, replicate
from ddbreplica.model import Replica
from ddbreplica.records.decode import Decoded
from ddbreplica.replicate.telemetry import Telemetry
from ddbreplica.settings import Settings
from tests.support.fake_bucket import FakeBucket

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


R = TypeVar("R", bound=Replica)


@dataclass
class Context:
    """The part of Lambda's context that the function uses."""

    aws_request_id: str = "request-1"
    seconds_left: float = 60.0

    def sleep(self, seconds: float) -> None:
        self.seconds_left -= seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1000)


@dataclass
class Function(Generic[R]):
    """One execution environment of the function, with what it keeps between invocations."""

    replica: R
    bucket: FakeBucket = field(default_factory=FakeBucket)
    replicate_ttl_deletes: bool = True
    transform: Callable[[Decoded], Decoded] | None = None

    def __post_init__(self) -> None:
        # Powertools keeps a logger by its name, together with the stdout of the test that created it.
        logging.root.manager.loggerDict.pop("ddbreplica", None)
        settings = Settings("logfile_replica", "bucket", replicate_ttl_deletes=self.replicate_ttl_deletes)
        self.replicator = Replicator(
            settings=settings,
            replica=self.replica,
            quarantine=Quarantine("bucket", table=settings.table, connect=self.bucket.connect),
            telemetry=Telemetry(
                service="ddbreplica", namespace="ddbreplica", function="replicator", table=settings.table
            ),
            deadline=lambda context: Deadline(
                deadline_of(context).remaining, sleep=cast("Context", context).sleep
            ),
            transform=self.transform,
        )

    def invoke(self, event: Any, context: Context | None = None) -> list[str]:
        """Invoke the function, and return the identifiers that it reports."""
        response = replicate(event, cast("LambdaContext", context or Context()), self.replicator)
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
