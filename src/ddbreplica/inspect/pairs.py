"""Find the pairs of tables that functions with the tag `ddbreplica` replicate. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ddbreplica.aws.arn import account_of, region_of
from ddbreplica.aws.request import Known, Unknown
from ddbreplica.dynamodb.location import Location
from ddbreplica.mapping.event_source_mapping import MappingState, replica_of


@dataclass(frozen=True, slots=True)
class ReplicatorFunction:
    """A function: its ARN, the name of the replica in its tag, and its mappings, if they can be read."""

    arn: str
    tag: str
    mappings: Known[tuple[MappingState, ...]]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and a replica by their ARNs, and all mappings between them; there should be one."""

    source: str
    replica: str
    mappings: tuple[MappingState, ...]

    @property
    def function(self) -> str:
        """The ARN of the function of the first mapping."""
        return self.mappings[0].function_arn

    def options(self, shared: Location) -> Location:
        """Return the options that name this pair to a command. Credentials and the like come from `shared`."""
        region, account = region_of(self.function), account_of(self.function)
        is_same_account = account_of(self.replica) == account
        is_plain = is_same_account and region_of(self.replica) != region
        return replace(
            shared,
            source=_short(self.source) if account_of(self.source) == account else self.source,
            replica=_short(self.replica) if is_same_account else self.replica,
            replica_region=region_of(self.replica) if is_plain else None,
            replica_profile=None if is_same_account else shared.replica_profile,
        )


def pair_up(replicators: Iterable[ReplicatorFunction]) -> Sequence[Pair]:
    """Return the pairs of all mappings that can be read and whose functions name a replica."""
    found: dict[tuple[str, str], list[MappingState]] = {}
    for replicator in replicators:
        for mapping in () if isinstance(replicator.mappings, Unknown) else replicator.mappings:
            if replica := replica_of(mapping):
                found.setdefault((mapping.source_arn, replica), []).append(mapping)
    return [Pair(*tables, tuple(mappings)) for tables, mappings in found.items()]


def display_name(table: str, *, beside: str) -> str:
    """Return a table's name, with the Region and the account if they differ from those of `beside`."""
    region, account = region_of(table), account_of(table)
    where = f" in {region}" if region and region != region_of(beside) else ""
    whose = f" of {account}" if account and account != account_of(beside) else ""
    return _short(table) + where + whose


def _short(table_arn: str) -> str:
    return table_arn.rpartition("/")[2]
