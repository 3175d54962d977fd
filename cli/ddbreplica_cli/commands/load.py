"""`ddbreplica load`: write web-log rows to the source table."""

from pathlib import Path

import click

from ddbreplica_cli.terminal.options import Options, rate_option, shared_options
from ddbreplica_cli.terminal.param_type import Integer


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--generate",
    type=Integer(min=1),
    metavar="N",
    help="Generate N sample rows instead of reading FILE.",
)
@click.option(
    "--output",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Write the rows of --generate to this file instead of the table.",
)
@click.option("--skip-bad-rows", is_flag=True, help="Skip rows that cannot be read, and continue.")
@rate_option("Maximum write capacity units per second.", of_a_job=False)
@click.option(
    "--start-at",
    type=Integer(min=1),
    metavar="LINE",
    default=1,
    show_default=True,
    help="Skip the rows before this line, to resume an interrupted load.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only check the rows; write nothing, and send no request to AWS."
)
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

    FILE is a CSV file in UTF-8 without a header. Its ten columns are request id, host, date, hour of day, time zone,
    method, URL, response code, bytes sent and user agent. Each row becomes an item with the key
    PK=request#<request id>; a row that is loaded again replaces its item. The command sends several requests in
    parallel and retries throttled writes. If it ends early, it shows the line from which to resume. It does
    not use the replica table.

    \b
    Examples:
      ddbreplica load data/logfile_stream.csv
      ddbreplica load data/logfile_stream.csv --dry-run
      ddbreplica load --generate 100000 --source logfile --rate 500
      ddbreplica load data/logfile_stream.csv --start-at 1001
      ddbreplica load --generate 2000 --output rows.csv

    The last line is `RowCount: N, Total seconds: S`. Exits with 1 if the table refused a row, or if --dry-run found a
    row that cannot be read, and with 2 if the load failed.
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
