"""Run `ddbreplica tail`: print the changes of the source as they arrive in its stream."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import ask
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe
from ddbreplica.dynamodb.stream import Stream
from ddbreplica.errors import TaskError
from ddbreplica.records.text import printable
from ddbreplica_cli.runs.tail_record import StreamedChange, document, seen, text
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.options import Options

_PAUSE = 0.5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def run(options: Options, *, since: datetime | None, keys_only: bool, limit: int | None) -> None:
    """Print changes until Ctrl-C or the limit."""
    connection = Connection(options)
    arn = _stream_arn(connection)
    stream = Stream(connection.streams(), arn, from_oldest=since is not None, gap=_note_gap)
    output.print_note(f"Reading {arn}. At most two processes should read a stream; Lambda is one of them.")
    last: StreamedChange | None = None
    with noting_interrupts() as interrupt:
        for last in islice(_changes(stream, Patience(interrupt), since), limit):
            _show(last, as_json=options.as_json, keys_only=keys_only)
            # Also within a page, which may have 1,000 changes.
            if interrupt.is_set:
                break
        if not interrupt.is_set:
            return
    output.print_note(f"Interrupted. {_how_to_resume(last, options)}")
    raise SystemExit(interrupt.exit_status)


def _stream_arn(connection: Connection) -> str:
    description = describe(connection.source).description
    arn: str | None = description.get("LatestStreamArn")
    if arn is None:
        raise TaskError(
            f"the table {connection.source.name} has no stream.",
            hint="check --source, or enable the stream of the table.",
        )
    if not description.get("StreamSpecification", {}).get("StreamEnabled"):
        output.print_note(
            f"Note: the stream of the table {connection.source.name} is disabled. It keeps older changes for 24 hours,"
            " and receives no new ones."
        )
    return arn


def _changes(stream: Stream, patience: Patience, since: datetime | None) -> Iterator[StreamedChange]:
    """Yield changes until Ctrl-C. The changes of one page of each shard are sorted by time."""
    while not patience.interrupt.is_set:
        pages = [[_seen(record) for record in page] for page in stream.read()]
        # Merged and not sorted: times have whole seconds, and only a shard has the order within one.
        for _, change in heapq.merge(*map(_timed, pages), key=itemgetter(0)):
            # A change without a time may belong to the period, so it is shown.
            if since is None or change.at is None or change.at >= since:
                yield change
        _refuse_to_wait_for_ever(stream, patience, has_read=any(pages))
        if not any(pages):
            patience.interrupt.sleep(_PAUSE)


def _timed(page: Iterable[StreamedChange]) -> Iterator[tuple[datetime, StreamedChange]]:
    """Yield each change with its time. A change without a time gets that of the change before it."""
    at = _LONG_AGO
    for change in page:
        at = change.at or at
        yield at, change


def _seen(record: Mapping[str, Any]) -> StreamedChange:
    return ask(lambda: seen(record), refused=partial(explain, doing="a record of the stream cannot be read"))


def _refuse_to_wait_for_ever(stream: Stream, patience: Patience, *, has_read: bool) -> None:
    if has_read or stream.refusal is None:
        patience.progressed()
    elif patience.remaining() <= 0 and not patience.interrupt.is_set:
        raise explain(stream.refusal, doing=f"the stream has not responded for {patience.idle():.0f} seconds")


def _show(change: StreamedChange, *, as_json: bool, keys_only: bool) -> None:
    if as_json:
        output.print_data(printable(document(change, keys_only=keys_only)))
    else:
        output.print_data(text(change, keys_only=keys_only))


def _note_gap(where: str) -> None:
    output.print_note(f"Changes may be missing here: {where}.")


def _how_to_resume(last: StreamedChange | None, options: Options) -> str:
    if last is None:
        return "There were no changes."
    # Times have whole seconds, so the command shows the changes of the last second again.
    since = f" --since {last.at:%Y-%m-%dT%H:%M:%SZ}" if last.at else ""
    return f"To resume: ddbreplica tail{options.tables}{since}"
