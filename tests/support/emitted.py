"""The metrics that AWS, the function and the worker emit for a stack."""

from typing import Final

FUNCTION: Final = {"FunctionName": "<ReplicatorFunction>"}
MAPPING: Final = {"EventSourceMappingUUID": "<ReplicatorFunctionStream>"}
REPLICA: Final = {"TableName": "logfile_replica"}
REPLICA_INDEX: Final = {"TableName": "logfile_replica", "GlobalSecondaryIndexName": "GSI_1"}
STREAM: Final = {
    "TableName": "logfile",
    "StreamLabel": "<SourceTable label>",
    "Operation": "GetRecords",
}
WORKER: Final = {"FunctionName": "<WorkerFunction>"}
MACHINE: Final = {"StateMachineArn": "<BulkStateMachine>"}
OWN: Final = {"service": "ddbreplica", "ReplicaTable": "logfile_replica", **FUNCTION}
EMITTED: Final = [
    ("AWS/Lambda", "ConcurrentExecutions", FUNCTION),
    ("AWS/Lambda", "DestinationDeliveryFailures", FUNCTION),
    ("AWS/Lambda", "Duration", FUNCTION),
    ("AWS/Lambda", "Errors", FUNCTION),
    ("AWS/Lambda", "Invocations", FUNCTION),
    ("AWS/Lambda", "IteratorAge", FUNCTION),
    ("AWS/Lambda", "Throttles", FUNCTION),
    ("AWS/Lambda", "DroppedEventCount", MAPPING),
    ("AWS/Lambda", "FailedInvokeEventCount", MAPPING),
    ("AWS/Lambda", "FilteredOutEventCount", MAPPING),
    ("AWS/Lambda", "InvokedEventCount", MAPPING),
    ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", MAPPING),
    ("AWS/Lambda", "PolledEventCount", MAPPING),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", REPLICA),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", REPLICA_INDEX),
    ("AWS/DynamoDB", "ProvisionedWriteCapacityUnits", REPLICA),
    ("AWS/DynamoDB", "ProvisionedWriteCapacityUnits", REPLICA_INDEX),
    ("AWS/DynamoDB", "UserErrors", {}),
    ("AWS/DynamoDB", "WriteThrottleEvents", REPLICA),
    ("AWS/DynamoDB", "WriteThrottleEvents", REPLICA_INDEX),
    ("AWS/DynamoDB", "ReturnedBytes", STREAM),
    ("AWS/DynamoDB", "ReturnedRecordsCount", STREAM),
    ("ddbreplica", "DeletesApplied", OWN),
    ("ddbreplica", "InDoubtLost", OWN),
    ("ddbreplica", "RecordsCoalesced", OWN),
    ("ddbreplica", "RecordsQuarantined", OWN),
    ("ddbreplica", "RecordsReceived", OWN),
    ("ddbreplica", "ReplicationLag", OWN),
    ("ddbreplica", "TtlDeletesSkipped", OWN),
    ("ddbreplica", "WritesApplied", OWN),
    ("ddbreplica", "WritesFailed", OWN),
    ("ddbreplica", "WritesRetried", OWN),
    ("ddbreplica", "WritesSuspect", OWN),
]
"""By AWS and the function, with default parameters."""

EMITTED_BY_WORKERS: Final = [
    ("AWS/Lambda", "ConcurrentExecutions", WORKER),
    ("AWS/Lambda", "Errors", WORKER),
    ("AWS/Lambda", "Invocations", WORKER),
    ("AWS/Lambda", "Throttles", WORKER),
    ("AWS/States", "ExecutionsAborted", MACHINE),
    ("AWS/States", "ExecutionsFailed", MACHINE),
    ("AWS/States", "ExecutionsStarted", MACHINE),
    ("AWS/States", "ExecutionsSucceeded", MACHINE),
    ("AWS/States", "ExecutionsTimedOut", MACHINE),
    ("ddbreplica", "HoursSinceVerification", OWN),
    ("ddbreplica", "ItemsCompared", OWN),
    ("ddbreplica", "ItemsUnequal", OWN),
    ("ddbreplica", "ReplicaUnequal", OWN),
    ("ddbreplica", "VerificationCompleted", OWN),
]
"""More with workers."""
