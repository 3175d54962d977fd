"""Run `ddbreplica load`: write web-log rows to the source table or to a file, or check them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedWriter, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

import click

from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import describe
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.errors import AttentionError, StoppedError, TaskError, naming
from ddbreplica.files.private_file import open_to_write
from ddbreplica.records.schema import key_schema_text
from ddbreplica.records.text import one_line
from ddbreplica_cli.samples import generate as generator
from ddbreplica_cli.samples import logfile
from ddbreplica_cli.samples.loader import AGAIN, Loaded, Loader, Problems, counted, from_line
from ddbreplica_cli.samples.logfile import BadRow, Row, Rows
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.options import Options
from ddbreplica_cli.terminal.progress import show_progress

_SAMPLE = 64 * 1024


def run(  # noqa: PLR0913  one for each option
    options: Options,
    *,
    file: Path | None,
    generate: int | None,
    to: Path | None,
    skip_bad_rows: bool,
    rate: float | None,
    start_at: int,
    dry_run: bool,
) -> None:
    """Write or check the rows with these options, and print the result."""
    if (file is None) == (generate is None):
        raise click.UsageError("Give FILE or --generate N, not both.")
    if to is not None and generate is None:
        raise click.UsageError("--output requires --generate N.")
    with _rows(file, generate) as rows:
        if dry_run:
            _check(from_line(start_at, rows), options, skip_bad_rows=skip_bad_rows)
        elif to is not None:
            _write_file(to, generate or 0, options)
        else:
            rows_in_all = generate or _estimate(file)
            about = rows_in_all and max(0, rows_in_all - start_at + 1)
            _load(rows, options, about=about, rate=rate, start_at=start_at, skip_bad_rows=skip_bad_rows)


@contextmanager
def _rows(file: Path | None, generate: int | None) -> Iterator[Rows]:
    if file is None:
        yield (Row(line, logfile.item(row)) for line, row in enumerate(islice(generator.rows(), generate), 1))
        return
    # A spreadsheet may write a byte order mark, which would become a part of the first value. A byte that is not UTF-8
    # must fail its own row, and not end the reading.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        yield logfile.read(_lines(lines, file))


def _lines(file: TextIO, name: Path) -> Iterator[str]:
    with naming(name):
        yield from iter(partial(file.readline, logfile.MAX_LINE), "")


def _estimate(file: Path | None) -> int | None:
    """Estimate how many rows a file has from its first lines; None for a pipe, which can be read only once."""
    if file is None or not file.is_file():
        return None
    with naming(file), file.open("rb") as opened:
        # From the beginning only: to count all lines, the whole file would be read once more.
        lines = opened.read(_SAMPLE).count(b"\n")
        return lines * file.stat().st_size // opened.tell() if lines else None


def _load(
    rows: Rows,
    options: Options,
    *,
    about: int | None,
    rate: float | None,
    start_at: int,
    skip_bad_rows: bool,
) -> None:
    connection = Connection(options)
    name = connection.source.name
    _refuse_other_key(connection.source)
    replica = DynamoDBReplica(connection.source.dynamodb(CLIENT_CONFIG), name)
    loaded = Loaded(start_at)
    started = time.perf_counter()
    try:
        with noting_interrupts() as interrupt, show_progress(f"loading {name}", about=about) as advance:
            loader = Loader(
                replica,
                loaded,
                patience=Patience(interrupt),
                rate=Rate(rate, sleep=interrupt.sleep),
                advance=advance,
            )
            loader.load(rows, skip_bad_rows=skip_bad_rows)
    finally:
        _note("refused by the table", loaded.refused)
        _note("skipped", loaded.left_out)
    _finish(loaded, name, time.perf_counter() - started, options)


def _refuse_other_key(source: Side) -> None:
    table = describe(source).table
    if table.key_schema != {(logfile.KEY, "S")}:
        raise TaskError(
            f"the table {source.name} has the key {key_schema_text(table.key_schema)};"
            f" web-log rows have the key {logfile.KEY} (S).",
            hint="name a table that has this key with --source.",
        )


def _finish(loaded: Loaded, name: str, seconds: float, options: Options) -> None:
    facts = {**loaded.facts(), "total_seconds": seconds, "source": name}
    text = f"RowCount: {loaded.written}, Total seconds: {seconds}"
    if not loaded.refused.count:
        output.print_result(facts, text, as_json=options.as_json)
        return
    if not options.as_json:
        # With --json the error below has the figures, and stdout gets one document, not two.
        output.print_result(facts, text, as_json=False)
    raise AttentionError(
        f"the table refused {counted(loaded.refused.count)}; {counted(loaded.written)} written.",
        hint=f"fix the refused rows or the table's indexes, and load the file again; {AGAIN}.",
        facts=facts,
    )


def _note(what: str, problems: Problems) -> None:
    if problems.count:
        output.print_note(f"Rows {what}: {problems.count:,}", *problems.texts())


def _check(rows: Rows, options: Options, *, skip_bad_rows: bool) -> None:
    bad, good = Problems(), 0
    for row in rows:
        if isinstance(row, BadRow):
            bad.add(row.lines, row.reason)
        else:
            good += 1
    facts = {"good": good, "bad": bad.count, "bad_rows": bad.facts(), "dry_run": True}
    _note("that cannot be read", bad)
    if bad.count and not skip_bad_rows:
        raise AttentionError(
            f"{counted(bad.count)} cannot be loaded, {good:,} can be loaded; nothing was written.",
            hint="fix the rows, or skip them with --skip-bad-rows.",
            facts=facts,
        )
    output.print_result(
        facts, f"{counted(good)} can be loaded; nothing was written.", as_json=options.as_json
    )


def _write_file(to: Path, count: int, options: Options) -> None:
    try:
        opened = open_to_write(to, option="--output", note=output.print_note)
        with TextIOWrapper(BufferedWriter(opened), encoding="utf-8", newline="") as file:
            logfile.write(islice(generator.rows(), count), file)
    except OSError as error:
        raise TaskError(
            f"{to} cannot be written: {error.strerror}.",
            hint="free disk space, check the directory, or name another file.",
        ) from error
    except KeyboardInterrupt as pressed:
        raise StoppedError(
            f"interrupted; {to} has only a part of the rows.", hint="run the same command again."
        ) from pressed
    output.print_result(
        {"row_count": count, "output": str(to)},
        one_line(f"Wrote {counted(count)} to {to}."),
        as_json=options.as_json,
    )
