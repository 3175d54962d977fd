"""Print what to do about the result of a verification, and exit with the status of its verdict."""

from collections.abc import Mapping
from typing import Any

from ddbreplica.bucket.verification_record import INCONCLUSIVE, NOT_EQUAL
from ddbreplica_cli.terminal import exit_status, output

_EXIT_STATUS = {NOT_EQUAL: exit_status.ATTENTION, INCONCLUSIVE: exit_status.INCONCLUSIVE}


def advise(document: Mapping[str, Any], *, undecided: int, next_step: str) -> None:
    """Print what to do about a result. `next_step` is for tables that differ."""
    verdict = document["verdict"]
    if verdict == INCONCLUSIVE and (document["inconclusive"] or not document["in_doubt"]):
        output.print_note(
            "Try: do what docs/commands.md (How verify decides) says about each reason, then run the command again."
        )
    if undecided:
        output.print_note(
            "Items that need review, since the source no longer has them (deleted or expired):"
            f" {undecided:,}. No later run reports them; --report lists all of them."
            " Try: review each one; if it was deleted at the source, delete it from the replica too."
        )
    if verdict == NOT_EQUAL:
        output.print_note(f"Try: {next_step}")


def exit_with(verdict: str) -> None:
    """Exit with the status of a verdict, if it is not 0."""
    if status := _EXIT_STATUS.get(verdict):
        raise SystemExit(status)
