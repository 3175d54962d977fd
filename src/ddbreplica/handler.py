"""The Lambda function: decode and transform a batch, plan and send its writes, quarantine poison, report a failure."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from ddbreplica.aws.botocore_private import MissingPartError
from ddbreplica.aws.clock import Skew
from ddbreplica.bucket.quarantine import Quarantine, QuarantineResult
from ddbreplica.deadline import Deadline, deadline_of
from ddbreplica.dynamodb import table
from ddbreplica.errors import QuarantineError, SettingsError
from ddbreplica.model import Replica
from ddbreplica.records.batch_item_failures import checkpoint, report
from ddbreplica.records.decode import Decoded, decode
from ddbreplica.records.plan import plan
from ddbreplica.replicate.telemetry import Telemetry
from ddbreplica.replicate.write import Outcome, write
from ddbreplica.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ddbreplica.aws.role import Role
    from ddbreplica.transform.secret import Secret, SecretId

_TRANSFORM = ("TRANSFORM", "TRANSFORM_SECRET_ARN", "TRANSFORM_SECRET_VERSION")
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replicator:
    """What an execution environment keeps between invocations."""

    settings: Settings
    replica: Replica
    quarantine: Quarantine
    telemetry: Telemetry
    deadline: Callable[["LambdaContext"], Deadline]
    transform: Callable[[Decoded], Decoded] | None = None


# Kept between invocations: the connections, and the count of quarantined records in a row.
@lru_cache(maxsize=1)
def replicator() -> Replicator:
    """Return the replicator of this execution environment, created at its first invocation.

    An error is raised and not remembered, so that the next invocation tries again.
    """
    # Before anything else: a wrong variable must fail here, by its name, and not after a batch was written.
    settings = Settings.from_env(os.environ)
    transform = _transform(os.environ)
    # One for both, since a quarantined record needs the lead of the clock that signed its write.
    skew = Skew()
    return Replicator(
        settings=settings,
        replica=_replica(settings, skew),
        quarantine=Quarantine(settings.quarantine_bucket, table=settings.table, skew=skew),
        telemetry=Telemetry(
            service=settings.powertools_service_name,
            namespace=settings.powertools_metrics_namespace,
            function=settings.aws_lambda_function_name,
            table=settings.table,
            level=settings.powertools_log_level,
        ),
        deadline=deadline_of,
        transform=transform,
    )


def _replica(settings: Settings, skew: Skew) -> Replica:
    """Connect to the replica. If botocore lacks a private part, log a warning and use boto3's documented calls."""
    where: Any = {"region": settings.replica_region, "role": _role(settings), "skew": skew}
    try:
        return table.connect(settings.replica_table_name, **where)
    except MissingPartError as error:
        _LOGGER.warning("%s Until then batches are written by boto3's documented calls, more slowly.", error)
        from ddbreplica.dynamodb import plain_replica  # noqa: PLC0415  not imported by a cold start that has all parts

        return plain_replica.connect(settings.replica_table_name, **where)


def _role(settings: Settings) -> "Role | None":
    if settings.replica_role_arn is None:
        return None
    try:
        from ddbreplica.aws.role import Role  # noqa: PLC0415  not imported by a cold start without a role
    except ImportError as error:
        raise SettingsError(
            f"REPLICA_ROLE_ARN is set, and the installed botocore cannot renew a role's credentials: {error}.",
            hint="Deploy the function with the versions that src/requirements.txt pins.",
        ) from error

    return Role(
        settings.replica_role_arn,
        external_id=settings.replica_external_id,
        session_name=settings.aws_lambda_function_name,
    )


def _transform(env: Mapping[str, str]) -> Callable[[Decoded], Decoded] | None:
    """Return the transform of batches, or None without one.

    Raises TransformError if a variable is wrong, or if the secret cannot be read.
    """
    if not any(env.get(name) for name in _TRANSFORM):
        return None
    # Nothing of it is imported by a cold start without a transform.
    from ddbreplica.transform.batch import transformed  # noqa: PLC0415
    from ddbreplica.transform.deployed import deployed  # noqa: PLC0415

    transform = deployed(env)
    if transform is None:
        return None
    secret = None if transform.secret is None else _secret(transform.secret)
    return partial(transformed, transform=transform, secret=secret)


def _secret(secret: "SecretId") -> "Secret":
    """Read the secret once for this execution environment: a version of a secret never changes its value."""
    from ddbreplica.aws.secret import client_of, read_secret  # noqa: PLC0415  needed by a transform with a hash only

    return read_secret(secret, client_of(secret))


def lambda_handler(event: Any, context: "LambdaContext") -> dict[str, list[dict[str, str]]]:
    """Apply a batch of the stream to the replica, and report the first record that Lambda has to deliver again.

    Raises a ReplicatorError if no record is at fault; Lambda then delivers the whole batch again.
    """
    return replicate(event, context, replicator())


def replicate(event: Any, context: "LambdaContext", to: Replicator) -> dict[str, list[dict[str, str]]]:
    """Apply a batch as `lambda_handler` does, with a given replica, quarantine and telemetry."""
    deadline = to.deadline(context)
    decoded = decode(event, replicate_ttl_deletes=to.settings.replicate_ttl_deletes)
    if to.transform is not None:
        decoded = to.transform(decoded)
    writes = plan(decoded.changes)
    outcome = write(writes, replica=to.replica, deadline=deadline)
    # Taken here, since the time that the quarantine takes is no lag of the replica.
    ended_at = time.time()
    # After the last write: a redrive could otherwise reconcile a key, and a later write of this batch undo that.
    kept = _keep(decoded, outcome, to, request_id=context.aws_request_id, deadline=deadline)
    # Only now: the records of in-doubt writes are kept even if the invocation fails.
    if outcome.ended is not None:
        to.telemetry.publish_lost(len(outcome.in_doubt) - kept.in_doubt)
        raise outcome.ended
    # A record that could not be kept is delivered again, since nothing else has it.
    failures = (*outcome.failures, *kept.failures)
    to.telemetry.publish(
        decoded,
        outcome,
        kept,
        ended_at=ended_at,
        reported=checkpoint(failures),
        request_id=context.aws_request_id,
    )
    return report(failures)


def _keep(
    decoded: Decoded, outcome: Outcome, to: Replicator, *, request_id: str, deadline: Deadline
) -> QuarantineResult:
    """Quarantine what the writes have left. Raises QuarantineError."""
    try:
        return to.quarantine.keep(
            # An invocation that fails keeps no poison: the fault may be why the items were refused, and Lambda delivers
            # them again.
            () if outcome.ended else (*decoded.poison, *outcome.poison),
            outcome.in_doubt,
            before=checkpoint(outcome.failures),
            # Without the deletes: a table accepts them even if one of its indexes refuses every item.
            puts_applied=sum(not write.is_delete for write in outcome.applied),
            request_id=request_id,
            deadline=deadline,
        )
    except QuarantineError as error:
        to.telemetry.publish_lost(error.in_doubt_lost)
        raise
