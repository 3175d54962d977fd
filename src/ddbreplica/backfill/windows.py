"""Put the exports of a table in order, and refuse those that would miss a change. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ddbreplica.backfill.export import Export
from ddbreplica.errors import TaskError
from ddbreplica.mapping.safeguards import shown

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Exports:
    """One or more exports of a table, in the order in which they are read.

    Together they have every item that changed from `since` to `until`. `since` is None if one is a full export: then
    they have all items.
    """

    each: tuple[Export, ...]

    @property
    def since(self) -> datetime | None:
        """The beginning of the first window, or None for a full export."""
        return self.each[0].since

    @property
    def until(self) -> datetime:
        """The time whose state the newest export has."""
        return max(export.taken_at for export in self.each)

    @property
    def name(self) -> str:
        """The names of all, the same in whatever order the options were given."""
        return " and ".join(export.url for export in self.each)

    @property
    def changed(self) -> int:
        """The number of items in the incremental exports. An item that two of them have counts twice."""
        return sum(export.items for export in self.each if export.since is not None)

    @property
    def items(self) -> int:
        """The number of items in all exports. An item that two of them have counts twice."""
        return sum(export.items for export in self.each)


def in_order(exports: Sequence[Export]) -> Exports:
    """Return the exports, a full one first. Raises TaskError if two are full, share a file or leave a gap."""
    _refuse_shared_file(exports)
    ordered = Exports(tuple(sorted(exports, key=_order)))
    first, *others = ordered.each
    until = first.taken_at
    for export in others:
        if export.since is None:
            raise TaskError(
                f"{first.url} and {export.url} are both full exports.",
                hint="give one full export, and incremental exports from its time on.",
            )
        if export.since > until:
            raise TaskError(
                f"no export has the changes from {shown(until)} to {shown(export.since)}; they would be missed.",
                hint="add --from-export with an incremental export that contains these times.",
            )
        until = max(until, export.taken_at)
    return ordered


def _refuse_shared_file(exports: Sequence[Export]) -> None:
    """Raise TaskError if two exports list the same file: then one of them has the manifest of the other."""
    listed: dict[str, str] = {}
    for export in exports:
        for file in export.files:
            if file in listed:
                raise TaskError(
                    f"{listed[file]} and {export.url} both list {file}, so one of their manifests is damaged.",
                    hint="export the changes again.",
                )
            listed[file] = export.url


def _order(export: Export) -> tuple[datetime, datetime, str]:
    return export.since or _BEGINNING, export.taken_at, export.url
