"""The options of a verification, and what follows from them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.verify.difference import EVERYTHING
from ddbreplica.verify.keys_file import KeysFile

MAX_SUSPECTS = 10_000
"""The number of suspected differences at which a comparison stops early, unless all differences are wanted."""

MAX_SUSPECTS_AT_ONCE = 100_000
"""The number of suspected differences that are decided together if all differences are wanted; memory is limited."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """The options of a verification."""

    segments: int
    eventually_consistent: bool
    sample: float
    keys_from: KeysFile | None
    grace: float | None
    rounds: int
    read_rate: float | None
    limit: int
    report: Path | None
    no_values: bool
    repair: bool
    dry_run: bool
    rate: float | None
    without_mapping: bool
    archive: bool

    @property
    def writes(self) -> bool:
        """Whether the replica is repaired."""
        return self.repair and not self.dry_run

    @property
    def wants_all(self) -> bool:
        """Whether all differences are wanted, and not only a verdict."""
        return bool(self.report or self.repair)

    @property
    def max_suspects(self) -> int:
        """The number of suspected differences at which the comparison is halted."""
        return MAX_SUSPECTS_AT_ONCE if self.wants_all else MAX_SUSPECTS

    @property
    def scans_consistently(self) -> bool:
        """Whether all reads are strongly consistent. Keys from a file are not scanned."""
        return not self.eventually_consistent or self.keys_from is not None

    @property
    def is_whole(self) -> bool:
        """Whether all items are compared."""
        return self.sample == 1 and self.keys_from is None

    def looked_at(self, key_filter: KeyFilter, *, is_archive: bool) -> str:
        """Describe the items to which the verdict applies, and how they were read."""
        of_all = EVERYTHING if self.sample == 1 else f"a sample of {self.sample:.4g}"
        looked_at = of_all if self.keys_from is None else f"the keys of {self.keys_from.path}"
        within = " within the filter" if key_filter.patterns else ""
        as_archive = ", as an archive" if is_archive else ""
        how = "" if self.scans_consistently else ", with eventually consistent scans"
        return f"{looked_at}{within}{as_archive}{how}"

    def identity(
        self, key_filter: KeyFilter, *, is_archive: bool, transform: str | None
    ) -> Mapping[str, Any]:
        """Return the options that must be equal for a run to go on with the progress of another one.

        What was decided is neither repaired nor reported again, so a run that does more has to begin again.
        """
        return {
            "repair": "dry run" if self.repair and self.dry_run else self.repair,
            # A file of another name would lack the lines of the earlier runs.
            "report": str(self.report or "none"),
            "segments": self.segments,
            "sample": self.sample,
            "consistency": "strong" if self.scans_consistently else "eventual",
            "filter": list(key_filter.patterns),
            "archive": is_archive,
            "transform": transform,
        }
