"""`ddbreplica load`: writes web-log rows to the source table."""

from pathlib import Path

import click

from ddbreplica_cli.terminal.options import Options, rate_option, shared_options


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--generate", type=click.IntRange(min=1), metavar="N", help="Make up N rows instead of reading FILE."
)
@click.option(
    "--output",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="With --generate: write the rows here, and nothing to the table.",
)
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be read, and go on.")
@rate_option("Use at most so many of the table's write units a second.  [default: as many as it grants]")
@click.option(
    "--start-at",
    type=click.IntRange(min=1),
    metavar="LINE",
    default=1,
    help="Leave out the rows before this line: where an interrupted load ended.",
)
@click.option("--dry-run", is_flag=True, help="Check every row, write nothing and ask AWS nothing.")
@shared_options
def load(  # noqa: PLR0913  one for each option
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
    """Write the web-log rows of FILE to the source table.

    FILE is CSV in UTF-8 without a header; its ten columns are request id, host, date, hour of day, time zone,
    method, URL, response code, bytes sent and user agent. A row becomes the item with key
    PK=request#<request id>; loading it again writes the same item again. Several requests are under way at a time,
    and what the table throttles is tried again. A load that ends early names the line to go on at.

    \b
    Examples:
      ddbreplica load data/logfile_stream.csv
      ddbreplica load data/logfile_stream.csv --dry-run
      ddbreplica load --generate 100000 --source logfile --rate 500
      ddbreplica load data/logfile_stream.csv --start-at 1001
      ddbreplica load --generate 2000 --output rows.csv

    Ends with `RowCount: N, Total seconds: S`. Exits with 1 if the table refused a row, or if --dry-run found a row
    that cannot be read, and with 2 if the load could not be done.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.load import run

    run(
        options,
        file=file,
        generate=generate,
        to=to,
        skip_bad_rows=skip_bad_rows,
        rate=rate,
        start_at=start_at,
        dry_run=dry_run,
    )
