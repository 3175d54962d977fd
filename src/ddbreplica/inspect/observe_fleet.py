"""Read the state of all replications of a Region, found by the tag of their functions.

Each function is on a line, even if its tables cannot be determined; then the line contains the reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import Known, Unknown, ask_pages, known
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.errors import TaskError
from ddbreplica.inspect.facts import Facts, UnseenTable
from ddbreplica.inspect.fleet import Fleet, Line, worst_lines_first
from ddbreplica.inspect.health import (
    Finding,
    Severity,
    examine,
    worst_first,
)
from ddbreplica.inspect.observe import observe_mappings
from ddbreplica.inspect.pairs import Pair, ReplicatorFunction, display_name, pair_up
from ddbreplica.mapping.event_source_mapping import TAG, MappingState, replica_of
from ddbreplica.mapping.lookup import list_mappings, state_of

A = TypeVar("A")
B = TypeVar("B")

_AT_A_TIME = 8
_SEE = "use credentials with the permissions that `ddbreplica status --all` needs (--profile, docs/permissions.md)"


def observe_fleet(connection: Connection, options: Location) -> Fleet:
    """Read the state once. Raises TaskError if no function has the tag, or if the tags cannot be read."""
    replicators = _replicators(connection)
    pairs = pair_up(replicators)
    sources = Counter(pair.replica for pair in pairs)
    look = partial(_line, connection, options, sources)
    blind = (line for replicator in replicators for line in _without_pair(replicator))
    region = connection.functions.meta.region_name
    return Fleet(region, worst_lines_first([*_each(look, pairs), *blind]))


def _replicators(connection: Connection) -> Sequence[ReplicatorFunction]:
    tagged = dict(_tagged(connection))
    if not tagged:
        region = connection.tags.meta.region_name
        raise TaskError(
            f"no function in {region} has the tag {TAG}.",
            hint="check --region and --profile, or deploy a stack in this Region (docs/deployment.md).",
        )
    # Once for all functions, since each listing has all mappings of the Region.
    listed = known(lambda: tuple(list_mappings(connection.functions)))
    return _each(partial(_replicator, connection, listed), tagged.items())


def _tagged(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield the ARN of each function, and the value of its tag, which is the name of the replica."""
    pages = connection.tags.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": TAG}], ResourceTypeFilters=["lambda:function"]
    )
    refused = partial(explain, doing=f"the functions with the tag {TAG} cannot be listed")
    return ask_pages(pages, _functions, refused=refused)


def _functions(page: Any) -> Sequence[tuple[str, str]]:
    return [
        (found["ResourceARN"], {tag["Key"]: tag["Value"] for tag in found["Tags"]}[TAG])
        for found in page["ResourceTagMappingList"]
    ]


def _replicator(
    connection: Connection, listed: Known[Sequence[Any]], tagged: tuple[str, str]
) -> ReplicatorFunction:
    arn, tag = tagged
    if isinstance(listed, Unknown):
        return ReplicatorFunction(arn, tag, listed)
    own = [one for one in listed if _is_of(one["FunctionArn"], arn)]
    return ReplicatorFunction(arn, tag, known(lambda: _states(connection, own)))


def _is_of(target: str, function: str) -> bool:
    """Return whether the target of a mapping is the function, or a version or an alias of it."""
    return target == function or target.startswith(f"{function}:")


def _states(connection: Connection, listed: Sequence[Any]) -> tuple[MappingState, ...]:
    return tuple(state_of(connection.functions, one) for one in listed)


def _line(connection: Connection, options: Location, sources: Mapping[str, int], pair: Pair) -> Line:
    named = pair.options(options)
    facts = observe_mappings(connection.to(named), pair.mappings)
    findings = [*examine(facts, named), *_of_sharing(pair, sources[pair.replica])]
    hint = f"`ddbreplica status{named.tables}`"
    return Line(pair.function, pair.source, pair.replica, facts, worst_first(findings), hint)


def _of_sharing(pair: Pair, sources: int) -> Iterator[Finding]:
    if sources > 1:
        replica = display_name(pair.replica, beside=pair.function)
        yield Finding(
            Severity.ATTENTION,
            f"{sources} tables are replicated into {replica}, which can be equal to only one of them",
            "create a replica for each source table",
        )


def _without_pair(replicator: ReplicatorFunction) -> Iterator[Line]:
    """Yield the line of a function without a mapping or a replica, or one whose configuration cannot be read."""
    mappings = replicator.mappings
    if isinstance(mappings, Unknown):
        yield Line(replicator.arn, None, replicator.tag, _unseen(replicator, mappings.why), (), _SEE)
    elif not mappings:
        yield _stopped(replicator, f"no event source mapping invokes the function {replicator.name}")
    elif not all(map(replica_of, mappings)):
        yield _stopped(
            replicator, f"the function {replicator.name} has no variable REPLICA_TABLE_NAME, or was deleted"
        )


def _stopped(replicator: ReplicatorFunction, fact: str) -> Line:
    hint = 'restore the function and its mapping (docs/runbook.md, "A resource was changed by hand"), or delete them'
    finding = Finding(Severity.STOPPED, fact, hint)
    return Line(replicator.arn, None, replicator.tag, _unseen(replicator, fact), (finding,), hint)


def _unseen(replicator: ReplicatorFunction, why: str) -> Facts:
    source, replica, unasked = UnseenTable(why, "?"), UnseenTable(why, replicator.tag), Unknown(why)
    return Facts(
        source,
        replica,
        replicator.mappings,
        figures=unasked,
        quarantine=unasked,
        on_failure=unasked,
        verification=unasked,
    )


def _each(look: Callable[[A], B], at: Iterable[A]) -> Sequence[B]:
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="fleet") as pool:
        return tuple(pool.map(look, at))
