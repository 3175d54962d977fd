"""The event source mapping that replicates the source, and its function, as a value. Pure.

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
    """The state of a mapping and of its function, with Lambda's names and values.

    `settings` holds those of both. `modified_at` is the time of the last change; the mapping was created then or
    before. `on_failure` is the ARN of the on-failure destination, to which Lambda sends discarded batches.
    `counts_events` is true if the mapping emits event source mapping metrics, such as PolledEventCount. `patterns`
    are the patterns of its filter, or None if Lambda does not show them. `environment` holds all variables of the
    function. Lambda drops the function's log lines below `log_level`; None if it drops none. `updated_at` is when the
    function was last updated, and `update_status` is whether that was successful.
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
    updated_at: datetime | None = None
    update_status: str = "Successful"

    @property
    def source_arn(self) -> str:
        """The source table's ARN."""
        return self.stream_arn.partition("/stream/")[0]

    @property
    def is_enabled(self) -> bool:
        """Whether Lambda polls the stream; false while the mapping is being created, enabled or updated."""
        return self.state == "Enabled"

    @property
    def has_failed(self) -> bool:
        """Whether Lambda reports a problem with the last batch."""
        return self.last_result.upper().startswith("PROBLEM")

    @property
    def sees_all(self) -> bool:
        """Whether the mapping started with the oldest record of its stream."""
        return self.starting_position == TRIM_HORIZON

    @property
    def quarantine(self) -> str | None:
        """The bucket in which the function quarantines poison records."""
        return self.environment.get("QUARANTINE_BUCKET")

    @property
    def replicates_ttl_deletes(self) -> bool:
        """Whether TTL deletes are replicated; false for an archive, and for an invalid value of the variable."""
        # An invalid value counts as an archive, from which no command deletes.
        return self.environment.get("REPLICATE_TTL_DELETES", "true").lower() == "true"

    @property
    def keeps_metrics(self) -> bool:
        """Whether Lambda keeps the function's metrics; it treats embedded metrics as log lines of the level INFO."""
        return self.log_level not in _LEVELS_ABOVE_INFO

    @property
    def key_filter(self) -> KeyFilter:
        """The mapping's filter, as a filter of keys.

        Raises TaskError if Lambda does not show the filter, or if it looks at more than keys.
        """
        if self.patterns is None:
            raise TaskError(
                f"the filter of the mapping {self.uuid} is encrypted with your KMS key, and Lambda does not show it.",
                hint="remove the KMS key (KMSKeyArn) from the mapping; the commands need to read its filter.",
            )
        return KeyFilter.of(self.patterns)


def replica_of(mapping: MappingState) -> str | None:
    """Return the ARN of the function's replica table; None if its settings have none or it was deleted."""
    table = mapping.environment.get("REPLICA_TABLE_NAME")
    if not table or region_of(table):
        return table or None
    _, partition, _, region, account, *_ = mapping.function_arn.split(":")
    region = mapping.environment.get("REPLICA_REGION") or region
    account = account_of(mapping.environment.get("REPLICA_ROLE_ARN", "")) or account
    return f"arn:{partition}:dynamodb:{region}:{account}:table/{table}"
