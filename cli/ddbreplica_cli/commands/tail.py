"""`ddbreplica tail`: prints the source's changes as its stream brings them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import ParamType

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


class _Moment(ParamType[datetime]):
    """`90s`, `15m` or `2h` ago, or a time such as 2026-01-31T12:00:00Z."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if ago := re.fullmatch(r"(\d{1,6})([smh])", str(value)):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(str(value))
            return moment if moment.tzinfo else moment.astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither like 90s, 15m or 2h nor a time like 2026-01-31T12:00:00Z.", param, ctx
            )


@click.command()
@click.option(
    "--since",
    type=_Moment(),
    metavar="WHEN",
    help="Begin with changes made then: 90s, 15m or 2h ago, or a time such as 2026-01-31T12:00:00Z.",
)
@click.option("--keys-only", is_flag=True, help="Show which items changed, and nothing that is in them.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after so many changes.")
@shared_options
def tail(options: Options, *, since: datetime | None, keys_only: bool, limit: int | None) -> None:
    """Print changes of the source table as its stream brings them, until Ctrl-C.

    Each is shown with its time, what happened, the key and the attributes: as they are now, or from what to what if
    the stream carries old images too. With --json each is one line. The stream keeps 24 hours; --since reads all of
    it to get there.

    \b
    Examples:
      ddbreplica tail --stack-name ddbreplica
      ddbreplica tail --source orders --keys-only
      ddbreplica tail --since 15m --json --limit 100

    A stream serves two readers well, and Lambda is one: run no more than one of these at a time. Exits with 2 if the
    stream could not be read.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.tail import run

    run(options, since=since, keys_only=keys_only, limit=limit)
