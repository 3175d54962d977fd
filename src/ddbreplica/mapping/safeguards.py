"""Refuse to repair or copy where the replica would not become equal or not stay equal. Pure.

Reconciling copies the present state of an item. Later changes need the stream and the mapping.
"""

from datetime import datetime, timedelta

from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import TAG, MappingState

RETENTION = timedelta(hours=24)
"""How long a stream keeps a change."""

SETTLING_IN = timedelta(minutes=10)
"""How long a mapping that starts at LATEST may miss changes after it was created; AWS says some minutes."""

EXPORT_PRECISION = timedelta(minutes=1)
"""How much earlier than its time the state of an export may be."""

_ANYWAY = "; or add --without-mapping to continue anyway"

_SHARE_OF_RETENTION = 0.8
_STATUS = "run `ddbreplica status`"


def refuse_unrepairable(mapping: MappingState | None) -> MappingState:
    """Return the mapping. Raises TaskError if there is none: later changes would not be replicated."""
    if mapping is None:
        raise TaskError(
            f"no event source mapping of a function with the tag {TAG} replicates the source to the replica; later"
            " changes would be missed.",
            hint=f"deploy a stack for these tables (docs/deployment.md), and {_STATUS}{_ANYWAY}.",
        )
    return mapping


def pause_note(mapping: MappingState) -> str | None:
    """Return a note if the mapping is not enabled, so that changes wait in the stream; None if it is."""
    if mapping.is_enabled:
        return None
    return (
        f"The mapping {mapping.uuid} is {mapping.state}: later changes are replicated after it is enabled, if that is"
        " within 24 hours."
    )


def refuse_unsafe(
    mapping: MappingState | None, *, stream: str | None, exported_at: datetime | None, now: datetime
) -> MappingState:
    """Return the mapping. Raises TaskError if a change could be missed by both the backfill and the mapping."""
    if stream is None:
        raise TaskError(
            "the source has no enabled stream; later changes would be missed.",
            hint=f"enable the stream, and {_STATUS}{_ANYWAY}.",
        )
    mapping = refuse_unrepairable(mapping)
    if not mapping.is_enabled:
        raise TaskError(
            f"the mapping {mapping.uuid} is {mapping.state}; later changes would be missed.",
            hint=f"enable the mapping; `ddbreplica status` shows the command{_ANYWAY}.",
        )
    if not mapping.sees_all and now - mapping.modified_at < SETTLING_IN:
        raise TaskError(
            f"the mapping {mapping.uuid} starts at LATEST and was created or updated at"
            f" {shown(mapping.modified_at)}; it may still miss changes.",
            hint=f"run the same command again at {shown(mapping.modified_at + SETTLING_IN)}.",
        )
    if exported_at is not None:
        _refuse_old(exported_at, mapping)
    return mapping


def _refuse_old(exported_at: datetime, mapping: MappingState) -> None:
    """Raise TaskError if the newest export may lack a change that the mapping may have missed."""
    missed_until = mapping.modified_at + (timedelta() if mapping.sees_all else SETTLING_IN)
    needed = missed_until + EXPORT_PRECISION
    if exported_at < needed:
        raise TaskError(
            f"the newest export is of {shown(exported_at)}; it must be of {shown(needed)} or later, since the mapping"
            f" was created or updated at {shown(mapping.modified_at)} and may have missed changes.",
            hint=(
                f"add --from-export with an incremental export from {shown(exported_at)} or earlier to"
                f" {shown(needed)} or later; or export the table again."
            ),
        )


def warning(*, lag: float | None, seconds: float | None) -> str | None:
    """Return a warning if the stream may drop changes before the backfill ends; None if it will not."""
    behind, takes = timedelta(seconds=round(lag or 0)), timedelta(seconds=round(seconds or 0))
    if behind + takes < RETENTION * _SHARE_OF_RETENTION:
        return None
    return (
        f"Warning: the replica's lag is {behind}, and the backfill takes about {takes}. The stream drops a change"
        " after 24 hours. With a higher --rate the backfill ends sooner; with a lower one the function has more of"
        " the replica's write capacity."
    )


def archive_warning(source: str, replicas: str) -> str:
    """Return a warning that an archive of this global table loses items, without a full stop.

    TTL deletes an item in one Region. The other Regions receive a replicated delete, whose stream record has no
    `userIdentity`, so that it looks like a delete by a user.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-how-it-works.html
    """
    return (
        f"the source {source} is a global table with replicas in {replicas}, and the replica is an archive: an item"
        " that expires in another Region is deleted from the archive too, because its replicated delete looks like a"
        " delete by a user"
    )


def shown(moment: datetime) -> str:
    """Return a moment as text, with its time zone."""
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"
