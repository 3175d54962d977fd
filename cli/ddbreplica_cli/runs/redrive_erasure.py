"""Run `redrive --find` and `--purge-done`: list the objects that hold an item, and delete objects for good."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import click
from click.core import ParameterSource

from ddbreplica.bucket.bucket import DONE
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.mapping.key_filter import EVERY_KEY
from ddbreplica.mapping.lookup import find_mapping, latest_stream
from ddbreplica.model import Key
from ddbreplica.redrive import copies, purge
from ddbreplica.redrive.copies import Copies
from ddbreplica.redrive.objects import BucketPrefix
from ddbreplica.redrive.places import Buckets
from ddbreplica.redrive.purge import Purged
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.exit_status import ATTENTION, INCONCLUSIVE
from ddbreplica_cli.terminal.progress import show_progress

_OF_REDRIVE = ("older_than", "limit", "rate", "read_rate", "state", "without_mapping", "archive")
_AGAIN = "run the same command again."


class _Result(Protocol):
    @property
    def document(self) -> dict[str, Any]: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Erasing:
    """The options of a search for the copies of some keys, or of a deletion in done/."""

    find: Sequence[str]
    purge_done: bool
    yes: bool
    dry_run: bool

    def run(
        self, connection: Connection, *, quarantine: str | None, on_failure: str | None, as_json: bool
    ) -> int:
        """Search or delete, print the result, and return the exit status.

        It is 1 if a copy was found or cannot be read, or if an object was left that may hold a key; 3 if old versions
        cannot be listed; otherwise 0.
        """
        source = describe(connection.source)
        keys = copies.keys_of(self.find, source.table)
        places = _places(connection, source, quarantine=quarantine, on_failure=on_failure)
        if self.purge_done:
            purged = self._purge(places, keys if self.find else None, as_json=as_json)
            self._print(purged, as_json=as_json)
            if self.dry_run:
                output.print_note("Dry run: nothing was deleted.")
            return ATTENTION if purged.left.count else 0
        found = _find(places, keys)
        self._print(found, as_json=as_json)
        if found.found.count or found.unread.count:
            return ATTENTION
        return INCONCLUSIVE if found.unseen else 0

    def _print(self, result: _Result, *, as_json: bool) -> None:
        output.print_result({**result.document, "dry_run": self.dry_run}, result.text, as_json=as_json)

    def _purge(self, places: Sequence[BucketPrefix], keys: frozenset[Key] | None, *, as_json: bool) -> Purged:
        if not (self.yes or self.dry_run):
            _refuse_unless_asked(as_json=as_json)
            # Counted first, so that the question shows what is lost: no old version remains.
            _ask(places, _purged(places, keys, dry_run=True))
        return _purged(places, keys, dry_run=self.dry_run)


def asked(find: Sequence[str], *, purge_done: bool, yes: bool, dry_run: bool) -> Erasing | None:
    """Return the options of a search or deletion; None for a redrive. Raises UsageError if options are mixed."""
    if not (find or purge_done):
        if yes:
            raise click.UsageError("--yes requires --purge-done.")
        return None
    context = click.get_current_context()
    for name in _OF_REDRIVE:
        # By its source and not its value: an option that is given with its default must not be ignored either.
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} cannot be used with --find or --purge-done.")
    return Erasing(find, purge_done, yes, dry_run)


def _places(
    connection: Connection, source: Described, *, quarantine: str | None, on_failure: str | None
) -> tuple[BucketPrefix, ...]:
    # With both buckets no mapping is needed, so that copies are found after a stack was deleted too.
    is_named = quarantine is not None and on_failure is not None
    mapping = None if is_named else find_mapping(connection, latest_stream(connection))
    buckets = Buckets.of(mapping, quarantine=quarantine, on_failure=on_failure, note=output.print_note)
    # Copies of any function, and of keys that the filter excludes, count too.
    return tuple(replace(buckets, function=None).places(connection, source, EVERY_KEY))


def _find(places: Sequence[BucketPrefix], keys: frozenset[Key]) -> Copies:
    found = Copies()
    with _interruptible(found) as interrupt, show_progress("objects", about=None) as advance:
        copies.search(places, keys, interrupt=interrupt, advance=advance, into=found)
    for bucket, why in found.unseen.items():
        output.print_note(f"Note: old versions in the bucket {bucket} were not searched: {why}")
    return found


def _purged(places: Sequence[BucketPrefix], keys: frozenset[Key] | None, *, dry_run: bool) -> Purged:
    purged = Purged()
    with _interruptible(purged) as interrupt, show_progress("objects", about=None) as advance:
        purge.purge(places, keys, dry_run=dry_run, interrupt=interrupt, advance=advance, into=purged)
    return purged


@contextmanager
def _interruptible(done: _Result) -> Iterator[Interrupt]:
    """Let a signal end the block between two requests, and add the partial result to an error."""
    try:
        with noting_interrupts() as interrupt:
            yield interrupt
    except KeyboardInterrupt as pressed:
        raise StoppedError("interrupted.", hint=_AGAIN, facts=done.document) from pressed
    except TaskError as error:
        raise type(error)(error.fact, hint=error.hint, facts=done.document) from error


def _refuse_unless_asked(*, as_json: bool) -> None:
    # A script reads the JSON, and would wait forever for an answer.
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        raise TaskError(
            "--purge-done deletes objects for good, and there is no terminal to ask for confirmation.",
            hint="add --yes; --dry-run shows how many objects would be deleted.",
        )


def _ask(places: Sequence[BucketPrefix], counted: Purged) -> None:
    where = " and ".join(f"s3://{place.bucket.name}/{DONE}{place.prefix}" for place in places)
    objects = "1 object" if counted.objects == 1 else f"{counted.objects:,} objects"
    question = f"Delete {objects} ({counted.versions:,} versions) in {where} for good?"
    try:
        is_confirmed = output.confirm(question)
    except click.Abort as pressed:
        raise StoppedError("interrupted; nothing was deleted.", hint=_AGAIN) from pressed
    if not is_confirmed:
        raise TaskError("nothing was deleted.", hint="to list the objects that hold a key, use --find.")
