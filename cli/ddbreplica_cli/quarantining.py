"""A journal of healing whose suspects outlive the process: they are put into quarantine, as the function puts its own.

Whoever redrives next finds them there, and leaves them alone until nothing can land any more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddbreplica.decode import attributes_of
from ddbreplica.errors import QuarantineError
from ddbreplica.model import Key, Quarantined, Table
from ddbreplica.quarantine import Quarantine
from ddbreplica.write import SUSPECT
from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.journal import MemoryJournal
from ddbreplica_cli.patience import Interrupt, Patience

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REASON = "a write of redrive was not answered and may still land"
_HINT = "let 15 minutes pass before you run the same command again: a write may still land until then."


class QuarantiningJournal(MemoryJournal):
    """The Journal of one run; `suspect` returns when an object of each key is in the bucket."""

    def __init__(self, client: "S3Client", bucket: str, *, replica: str, source: Table) -> None:
        """`replica` is the replica's name, by which the bucket is parted."""
        super().__init__()
        self._quarantine = Quarantine(bucket, table=replica, connect=lambda: client)
        self._source_arn = source.arn

    def suspect(self, keys: Sequence[Key]) -> None:
        """Hold keys back, in this run and the next ones. Raises CommandError if they cannot be kept."""
        super().suspect(keys)
        records = tuple(self._suspect(position, key) for position, key in enumerate(keys))
        # With a patience of its own: Ctrl-C, and a table that stands still, are why keys are suspect.
        deadline = Patience(Interrupt()).deadline()
        try:
            kept = self._quarantine.keep(
                (), records, below=None, puts_applied=0, request_id="redrive", deadline=deadline
            )
        except QuarantineError as error:
            raise _unkept(error.fact[0].lower() + error.fact[1:].rstrip(".")) from error
        if kept.failures:
            refusal = kept.failures[0].refusal
            raise _unkept(f"{refusal.code}: {refusal.message}")

    def _suspect(self, position: int, key: Key) -> Quarantined:
        record: dict[str, Any] = {
            "eventSourceARN": self._source_arn,
            "dynamodb": {"Keys": attributes_of(key)},
        }
        return Quarantined(position, None, key, record, _REASON, SUSPECT)


def _unkept(why: str) -> CommandError:
    return CommandError(
        f"a write was not answered, and its key cannot be put into quarantine: {why}.", hint=_HINT
    )
