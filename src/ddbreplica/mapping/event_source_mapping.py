"""Lambda's event-source mapping that brings the source's changes to the replica, and its function, as a value. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddbreplica.aws.arn import account_of, region_of
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter

if TYPE_CHECKING:
    pass

TAG = "ddbreplica"
"""The tag that template.yaml puts on each function of this project."""

TRIM_HORIZON = "TRIM_HORIZON"

_LEVELS_ABOVE_INFO = frozenset({"WARN", "ERROR", "FATAL"})


@dataclass(frozen=True, slots=True)
class MappingState:
    """A mapping and the function behind it, in Lambda's words. `settings` are those in force, of either.

    `modified_at` is when it was last changed, so that it was made then or before; `on_failure` is the ARN of where
    Lambda puts what it gives up; `counts_events` says that it reports metrics of its own, such as what it polled;
    `patterns` are those of its filter, or None where Lambda does not show them; `environment` is the function's, whole;
    `log_level` is that below which Lambda drops the function's log lines, or None where it drops none.
    """

    uuid: str
    stream_arn: str
    state: str
    state_reason: str
    last_result: str
    starting_position: str
    modified_at: datetime
    on_failure: str | None
    counts_events: bool
    patterns: tuple[str, ...] | None
    function_arn: str
    function_name: str
    log_group: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    log_level: str | None = None

    @property
    def source_arn(self) -> str:
        """The source table's ARN."""
        return self.stream_arn.partition("/stream/")[0]

    @property
    def is_enabled(self) -> bool:
        """Whether Lambda reads the stream; not while it is still being enabled, updated or made."""
        return self.state == "Enabled"

    @property
    def sees_all(self) -> bool:
        """Whether it began with the oldest record of its stream."""
        return self.starting_position == TRIM_HORIZON

    @property
    def quarantine(self) -> str | None:
        """The bucket where the function keeps what can never be written."""
        return self.environment.get("QUARANTINE_BUCKET")

    @property
    def replicates_ttl_deletes(self) -> bool:
        """False for an archive, where absence at the source proves nothing, and for a value that nobody can read."""
        return self.environment.get("REPLICATE_TTL_DELETES", "true").lower() == "true"

    @property
    def keeps_metrics(self) -> bool:
        """Whether embedded metrics, which count as lines of the level INFO, outlast the function's log level."""
        return self.log_level not in _LEVELS_ABOVE_INFO

    @property
    def key_filter(self) -> KeyFilter:
        """Which keys' changes it brings. Raises TaskError for a filter that is not shown, or is not one of keys."""
        if self.patterns is None:
            raise TaskError(
                f"the filter of the mapping {self.uuid} is encrypted with a key of yours, and Lambda does not show it.",
                hint="take the key (KMSKeyArn) off the mapping: the commands go by its filter.",
            )
        return KeyFilter.of(self.patterns)


def replica_of(mapping: MappingState) -> str | None:
    """The ARN of the table that the function writes to; None where its settings name none, or it was deleted."""
    table = mapping.environment.get("REPLICA_TABLE_NAME")
    if not table or region_of(table):
        return table or None
    _, partition, _, region, account, *_ = mapping.function_arn.split(":")
    region = mapping.environment.get("REPLICA_REGION") or region
    account = account_of(mapping.environment.get("REPLICA_ROLE_ARN", "")) or account
    return f"arn:{partition}:dynamodb:{region}:{account}:table/{table}"
