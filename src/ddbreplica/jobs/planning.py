"""Plan a job: read both tables' descriptions, and write what all workers need to know."""

from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.errors import TaskError
from ddbreplica.jobs.budget import read_budget
from ddbreplica.jobs.job import Checked, Job
from ddbreplica.jobs.objects import PLAN, SEGMENTS, lines_of
from ddbreplica.jobs.plan import JobEndedError, Plan, segment_lines_of, segments_of
from ddbreplica.jobs.verify.options import complete
from ddbreplica.verify.estimate import Estimate, TableSize

VERIFY = "verify"


def make_plan(job: Job) -> Plan:
    """Write the plan of a job, or go on with the one that it has. Raises TaskError if the job is refused."""
    job.ending.check()
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
    return plan


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
    _refuse_expensive(estimate, job)
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


def _estimate(tables: tuple[Described, Described], rates: list[float], *, consistent: bool) -> Estimate:
    sizes = [TableSize(table.items, table.bytes, rate) for table, rate in zip(tables, rates, strict=True)]
    return Estimate(sizes, consistent=consistent)


def _refuse_expensive(estimate: Estimate, job: Job) -> None:
    """Raise TaskError if a scheduled job takes more than its stack allows."""
    most = job.payload.members["max_units"]
    if job.payload.members["scheduled"] and 0 < most < estimate.read_units:
        raise TaskError(
            f"the scheduled verification would take {estimate.read_units:,} read capacity units, and"
            f" MaxVerificationUnits is {most:,}.",
            hint="raise MaxVerificationUnits, or verify less often and start it by hand.",
        )
