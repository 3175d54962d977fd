"""Plan a job: read both tables' descriptions, and write what all workers need to know."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from ddbreplica.backfill import estimate as of_backfill
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.rate import SHARE
from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs.backfill import options as backfill_options
from ddbreplica.jobs.job import Checked, Job, preflight_of
from ddbreplica.jobs.objects import PLAN, SEGMENTS, lines_of
from ddbreplica.jobs.plan import BACKFILL, VERIFY, Plan, segment_lines_of, segments_of
from ddbreplica.jobs.state.skipped import Skipped, note_skipped
from ddbreplica.jobs.verify import options as verify_options
from ddbreplica.mapping.safeguards import warning
from ddbreplica.records.text import duration
from ddbreplica.verify.estimate import Estimate, TableSize

PLAN_SECONDS: Final = 30.0
"""The time that a worker needs to make a plan."""

UNKNOWN_UNITS: Final = 3_000.0
"""Capacity units per second of an on-demand table whose limits DescribeTable does not show."""


@dataclass(frozen=True, slots=True)
class _Budget:
    """What a job may use, and takes. `items` are those of the larger table that it scans."""

    items: int
    read_rates: Sequence[float]
    estimate: Mapping[str, Any]
    write_rate: float = 0.0
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of job: what completes its options, and what it may use."""

    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    budget: Callable[[tuple[Described, Described], Mapping[str, Any]], _Budget]


def make_plan(job: Job) -> bool:
    """Write the plan of a job, or go on with the one that it has. Return False if another job runs, and this one waits.

    Only a scheduled job waits for the next time. Raises TaskError if the job is refused.
    """
    job.ending.check()
    # Before the lease: a schedule whose input is wrong fails also while another job runs.
    kind, options = _asked_for(job.payload.members)
    other = job.lease.take(now=job.pair.clock.moment.timestamp())
    if other is None:
        _write_plan(job, kind, options)
    elif job.payload.members["scheduled"]:
        _skip(job, other)
    else:
        raise TaskError(
            f"the job {other} of the stack {job.payload.stack} runs.",
            hint="wait until it has ended.",
        )
    return other is None


def _skip(job: Job, other: str) -> None:
    job.note(f"the job {other} runs, so that this one does nothing")
    with suppress(TaskError):  # the next one is noted
        # AWS's time is known to the second: a verification that ends within the same one must not seem to be earlier.
        at = job.pair.clock.moment.replace(microsecond=0)
        skipped = Skipped(job.payload.job, other, at)
        note_skipped(job.objects.store, job.payload.stack, skipped)


def _asked_for(members: Mapping[str, Any]) -> tuple[_Kind, Mapping[str, Any]]:
    """Return the kind of a job and its complete options. Raises TaskError if they are not valid."""
    kind = _KINDS.get(members["what"])
    if kind is None:
        raise TaskError(
            f"{members['what']!r:.100} is no kind of job.", hint="start a verification or a backfill."
        )
    return kind, kind.complete(members["options"])


def _write_plan(job: Job, kind: _Kind, options: Mapping[str, Any]) -> None:
    members = job.payload.members
    body = job.objects.read(PLAN)
    if body is None:
        # Of two that plan at once, both go on with the plan that was written first.
        body = job.objects.create(PLAN, _new(job, kind, options).body)
    plan = Plan.read(body)
    plan.refuse_other(what=members["what"], function=job.payload.function)
    Checked.now(job, plan)
    lines = b"".join(lines_of(plan.segment_lines))
    if job.objects.create(SEGMENTS, lines) != lines:
        raise JobEndedError(
            f"{job.objects.name(SEGMENTS)} does not have the segments of the plan.", hint="start a new job."
        )


def _new(job: Job, kind: _Kind, options: Mapping[str, Any]) -> Plan:
    members, pair = job.payload.members, job.pair
    if members["what"] == BACKFILL:
        _wait_for_update(job)
    tables = pair.describe()
    preflight = preflight_of(pair, tables[0], members["what"], options)
    preflight.warn_of_replicas(tables[0], note=job.note)
    budget = kind.budget(tables, options)
    _refuse_expensive(budget, members)
    job.note(*_notes(members["what"], budget.estimate))
    segments = segments_of(budget.items)
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
        read_rates=budget.read_rates,
        write_rate=budget.write_rate,
        stream=budget.stream,
        transform=pair.transform(tables[0]).view.digest,
        function_updated=pair.updated_at.isoformat() if budget.stream and pair.updated_at else None,
        estimate=budget.estimate,
    )


def _wait_for_update(job: Job) -> None:
    """Wait until no invocation with earlier settings of the function can be under way. Raises TaskError as it does.

    Raises TaskError also if the worker has not the time.
    """
    left = job.pair.update_seconds_left()
    if left + PLAN_SECONDS > job.deadline.remaining():
        raise TaskError(
            f"the function was updated, and invocations with its earlier settings may be under way for {ceil(left)}"
            " more seconds.",
            hint="start the job after that time.",
        )
    if left:
        job.note(f"the job waits {ceil(left)} seconds, since the function was updated")
        job.ending.sleep(left)
        job.ending.check()


def _notes(what: str, estimate: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the job takes, and a warning if a backfill may take longer than the stream keeps a change."""
    writes = estimate.get("write_units", 0)
    seconds = estimate["seconds_at_least"]
    yield (
        f"The job takes about {estimate['read_units']:,} read and {writes:,} write capacity units,"
        f" ${estimate['dollars']:,.2f} on demand, and at least {duration(seconds or 0)}."
    )
    if what == BACKFILL and (message := warning(lag=None, seconds=seconds)):
        yield message


def _of_verification(tables: tuple[Described, Described], options: Mapping[str, Any]) -> _Budget:
    rates = [read_budget(table, options["read_rate"]) for table in tables]
    sizes = [TableSize(table.items, table.bytes, rate) for table, rate in zip(tables, rates, strict=True)]
    estimate = Estimate(sizes, consistent=not options["eventually_consistent"])
    write_rate = write_budget(tables[1], options["rate"]) if options["repair"] else 0.0
    return _Budget(max(table.items for table in tables), rates, estimate.document(), write_rate)


def _of_backfill(tables: tuple[Described, Described], options: Mapping[str, Any]) -> _Budget:
    source, replica = tables
    read_rate, write_rate = read_budget(source, options["read_rate"]), write_budget(replica, options["rate"])
    estimate = of_backfill.Estimate(items=source.items, bytes=source.bytes, indexes=replica.indexes)
    return _Budget(
        source.items,
        [read_rate],
        estimate.document(rate=write_rate, read_rate=read_rate),
        write_rate,
        source.stream,
    )


_KINDS: Final = {
    VERIFY: _Kind(verify_options.complete, _of_verification),
    BACKFILL: _Kind(backfill_options.complete, _of_backfill),
}


def read_budget(table: Described, per_second: float | None) -> float:
    """Return the read capacity units per second to use: `per_second`, or a share of what the table can provide."""
    return per_second or _share(table, 0, "Read")


def write_budget(table: Described, per_second: float | None) -> float:
    """Return the write capacity units per second to use: `per_second`, or a share of what the table can provide."""
    return per_second or _share(table, 1, "Write")


def _share(table: Described, number: int, kind: str) -> float:
    """Return a share of the provisioned units, or of the on-demand table's limits."""
    if table.capacity is not None:
        return max(table.capacity[number], 1) * SHARE
    most = table.description.get("OnDemandThroughput", {}).get(f"Max{kind}RequestUnits", -1)
    warm = table.description.get("WarmThroughput", {}).get(f"{kind}UnitsPerSecond", -1)
    # -1 is how DynamoDB writes that there is no limit.
    known = [units for units in (most, warm) if units > 0]
    return min(known) * SHARE if known else UNKNOWN_UNITS


def _refuse_expensive(budget: _Budget, members: Mapping[str, Any]) -> None:
    """Raise TaskError if a scheduled job takes more read capacity units than its stack allows; 0 allows any number."""
    units = budget.estimate["read_units"]
    if members["scheduled"] and 0 < members["max_units"] < units:
        raise TaskError(
            f"the scheduled verification would take {units:,} read capacity units, and"
            f" MaxVerificationUnits is {members['max_units']:,}.",
            hint="raise MaxVerificationUnits, or verify less often and start it by hand.",
        )
