"""The mapping, and what is to be healed → the mapping, or why the replica might not become, or stay, equal. Pure.

Reconciling copies a state; that what changes afterwards arrives too is the stream's and the mapping's business.
"""

from datetime import datetime, timedelta

from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import TAG, MappingState

RETENTION = timedelta(hours=24)
"""How long the stream keeps a change that was not delivered."""

SETTLING_IN = timedelta(minutes=10)
"""What a mapping that begins with the latest change is given to see every one; AWS speaks of minutes."""

_ALL_THE_SAME = "; --without-mapping goes ahead all the same"

_SHARE_OF_RETENTION = 0.8
_STATUS = "see `ddbreplica status`"


def refuse_unrepairable(mapping: MappingState | None) -> MappingState:
    """Raise TaskError where healing would not last."""
    if mapping is None:
        raise TaskError(
            f"no mapping of a function with the tag {TAG} brings the source's changes to the replica; what changes from"
            " now on would not arrive.",
            hint=f"deploy first (sam deploy), and {_STATUS}{_ALL_THE_SAME}.",
        )
    return mapping


def pause(mapping: MappingState) -> str | None:
    """What to say where changes wait; None where they flow."""
    if mapping.is_enabled:
        return None
    return (
        f"The mapping {mapping.uuid} is {mapping.state}: what changes from now on arrives when it is enabled, if that"
        " is within a day."
    )


def refuse_unsafe(
    mapping: MappingState | None, *, stream: str | None, exported_at: datetime | None, now: datetime
) -> MappingState:
    """Raise TaskError where a change could get lost between what a backfill copies and what is delivered."""
    if stream is None:
        raise TaskError(
            "the source has no stream that is on; what changes there would not arrive.",
            hint=f"{_STATUS}{_ALL_THE_SAME}.",
        )
    mapping = refuse_unrepairable(mapping)
    if not mapping.is_enabled:
        raise TaskError(
            f"the mapping {mapping.uuid} is {mapping.state}; what changes from now on would not arrive.",
            hint=f"enable it, and {_STATUS}{_ALL_THE_SAME}.",
        )
    if not mapping.sees_all and now - mapping.modified_at < SETTLING_IN:
        raise TaskError(
            f"the mapping {mapping.uuid} began with the latest change, and was made or altered at"
            f" {_shown(mapping.modified_at)}; it may not see every change yet.",
            hint=f"run the same command again at {_shown(mapping.modified_at + SETTLING_IN)}.",
        )
    if exported_at is not None and exported_at < mapping.modified_at:
        raise TaskError(
            f"the export is of {_shown(exported_at)} and the mapping was made or altered at"
            f" {_shown(mapping.modified_at)}; an item that was new between may be in neither.",
            hint="export the table again, or leave out --from-export.",
        )
    return mapping


def warning(*, lag: float | None, seconds: float | None) -> str | None:
    """What to say where the stream may forget changes before the backfill has ended; None if all is well."""
    behind, takes = timedelta(seconds=round(lag or 0)), timedelta(seconds=round(seconds or 0))
    if behind + takes < RETENTION * _SHARE_OF_RETENTION:
        return None
    return (
        f"The replica is {behind} behind, and the backfill takes about {takes}: the stream forgets a change after 24"
        " hours. A higher --rate ends it sooner; a lower one leaves more of the replica to the function."
    )


def archive_warning(source: str, replicas: str) -> str:
    """Return what an archive of this global table loses, without a full stop.

    Time to live deletes an item in one Region, and the delete is replicated to the others without the identity by which
    a stream record says that the item expired. There it cannot be told from a delete by a user.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-how-it-works.html
    """
    return (
        f"the source {source} is a global table with replicas in {replicas}, and the replica is an archive: an item"
        " that expires in another Region is deleted from the archive, because its replicated delete does not say"
        " that it expired"
    )


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"
