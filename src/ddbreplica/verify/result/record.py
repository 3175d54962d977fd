"""Make the record of a complete verification from its result. Pure."""

from collections.abc import Mapping
from datetime import datetime

from ddbreplica.bucket.verification_record import EVENTUAL, STRONG, RecordedTable, VerificationRecord
from ddbreplica.dynamodb.describe import Described
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.verify.difference import NO_DIFFERENCE, DifferenceKind
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.result.verdict import Verified


def record_of(
    result: Verified,
    tables: tuple[Described, Described],
    options: VerifyOptions,
    *,
    key_filter: KeyFilter,
    is_archive: bool,
    ended: datetime,
) -> VerificationRecord:
    """Return the record of a verification of all items, without the version of ddbreplica."""
    source, replica = tables
    counts = result.findings.counts
    began = datetime.fromisoformat(result.began)
    return VerificationRecord(
        source=RecordedTable(source.table.arn, source.created_at),
        replica=RecordedTable(replica.table.arn, replica.created_at),
        began=began,
        # AWS's time is that of the latest response in whole seconds, so it may be earlier than at the begin.
        ended=max(began, ended),
        verdict=result.verdict,
        looked_at=result.looked_at,
        consistency=STRONG if options.scans_consistently else EVENTUAL,
        source_items=result.swept.source_items,
        replica_items=result.swept.replica_items,
        differences=_differences(counts),
        repaired=result.findings.repaired,
        moving=counts[DifferenceKind.MOVING],
        in_doubt=result.in_doubt,
        confirmed_by=result.confirmed_by,
        lag=result.lag,
        patterns=key_filter.patterns,
        is_archive=is_archive,
        segments=options.segments,
        version=None,
        transform=result.transform,
    )


def _differences(counts: Mapping[DifferenceKind, int]) -> dict[str, int]:
    return {kind.value: counts[kind] for kind in DifferenceKind if kind not in NO_DIFFERENCE}
