"""Plan a job: read both tables' descriptions, and write what all workers need to know."""

from collections.abc import Mapping
from typing import Any, Final

from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.rate import SHARE
from ddbreplica.errors import TaskError
from ddbreplica.jobs.job import Checked, Job
from ddbreplica.jobs.objects import PLAN, SEGMENTS, lines_of
from ddbreplica.jobs.plan import JobEndedError, Plan, segment_lines_of, segments_of
from ddbreplica.jobs.verify.options import complete
from ddbreplica.verify.estimate import Estimate, TableSize

VERIFY: Final = "verify"

UNKNOWN_UNITS: Final = 3_000.0
"""Read capacity units per second of an on-demand table whose limits DescribeTable does not show."""


def make_plan(job: Job) -> bool:
    """Write the plan of a job, or go on with the one that it has. Return False if another job runs, and this one waits.

    Only a scheduled job waits for the next time. Raises TaskError if the job is refused.
    """
    job.ending.check()
    other = job.lease.take(now=job.pair.clock.moment.timestamp())
    if other is None:
        _write_plan(job)
    elif not job.payload.members["scheduled"]:
        raise TaskError(
            f"the job {other} of the stack {job.payload.stack} runs.",
            hint="wait until it has ended.",
        )
    return other is None


def _write_plan(job: Job) -> None:
    members = job.payload.members
    body = job.objects.read(PLAN)
    if body is None:
        # Of two that plan at once, both go on with the plan that was written first.
        body = job.objects.create(PLAN, _new(job).body)
    plan = Plan.read(body)
    plan.refuse_other(what=members["what"], function=job.payload.function)
    Checked.now(job, plan)
    lines = b"".join(lines_of(plan.segment_lines))
    if job.objects.create(SEGMENTS, lines) != lines:
        raise JobEndedError(
            f"{job.objects.name(SEGMENTS)} does not have the segments of the plan.", hint="start a new job."
        )


def _new(job: Job) -> Plan:
    members, pair = job.payload.members, job.pair
    if members["what"] != VERIFY:
        raise TaskError(f"{members['what']!r:.100} is no kind of job.", hint="start a verification.")
    options = complete(members["options"])
    tables = pair.describe()
    preflight = pair.preflight(without_mapping=options["without_mapping"], archive=options["archive"])
    preflight.warn_of_replicas(tables[0], note=job.note)
    rates = [read_budget(table, options["read_rate"]) for table in tables]
    estimate = _estimate(tables, rates, consistent=not options["eventually_consistent"])
    _refuse_expensive(estimate, members)
    segments = segments_of(max(table.items for table in tables))
    lines, workers = segment_lines_of(
        segments, concurrency=members["concurrency"], unreserved=pair.unreserved_concurrency()
    )
    return Plan(
        what=members["what"],
        function=job.payload.function,
        # In microseconds, since the name of the record is this time.
        began=pair.clock.moment.isoformat(timespec="microseconds"),
        options=options,
        pair=identity(*tables),
        patterns=preflight.key_filter.patterns,
        is_archive=preflight.is_archive,
        segments=segments,
        lines=lines,
        workers=workers,
        read_rates=rates,
        estimate=estimate.document(),
    )


def read_budget(table: Described, per_second: float | None) -> float:
    """Return the read capacity units per second to use: `per_second`, or a share of what the table can provide."""
    if per_second is not None:
        return per_second
    if table.capacity is not None:
        return max(table.capacity[0], 1) * SHARE
    most = table.description.get("OnDemandThroughput", {}).get("MaxReadRequestUnits", -1)
    warm = table.description.get("WarmThroughput", {}).get("ReadUnitsPerSecond", -1)
    # -1 is how DynamoDB writes that there is no limit.
    known = [units for units in (most, warm) if units > 0]
    return min(known) * SHARE if known else UNKNOWN_UNITS


def _estimate(tables: tuple[Described, Described], rates: list[float], *, consistent: bool) -> Estimate:
    sizes = [TableSize(table.items, table.bytes, rate) for table, rate in zip(tables, rates, strict=True)]
    return Estimate(sizes, consistent=consistent)


def _refuse_expensive(estimate: Estimate, members: Mapping[str, Any]) -> None:
    """Raise TaskError if a scheduled job takes more read capacity units than its stack allows; 0 allows any number."""
    if members["scheduled"] and 0 < members["max_units"] < estimate.read_units:
        raise TaskError(
            f"the scheduled verification would take {estimate.read_units:,} read capacity units, and"
            f" MaxVerificationUnits is {members['max_units']:,}.",
            hint="raise MaxVerificationUnits, or verify less often and start it by hand.",
        )
