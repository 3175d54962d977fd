"""`ddbreplica tail`: prints the changes of the source as they arrive in its stream."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import Integer, ParamType

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


class _Moment(ParamType[datetime]):
    """A time, such as 2026-01-31T12:00:00Z, or the time `90s`, `15m` or `2h` ago."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        # At most six digits: with some more, the subtraction would overflow.
        if ago := re.fullmatch(r"(\d{1,6})([smh])", str(value)):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(str(value))
            return moment if moment.tzinfo else moment.astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"invalid time {value!r}; use a time such as 2026-01-31T12:00:00Z, or an age such as 90s, 15m or 2h.",
                param,
                ctx,
            )


@click.command()
@click.option(
    "--since",
    type=_Moment(),
    metavar="WHEN",
    help="Show changes since this time: 90s, 15m or 2h ago, or a time such as 2026-01-31T12:00:00Z.",
)
@click.option("--keys-only", is_flag=True, help="Show the keys of the changed items only.")
@click.option("--limit", type=Integer(min=1), metavar="N", help="Stop after N changes.")
@shared_options
def tail(options: Options, *, since: datetime | None, keys_only: bool, limit: int | None) -> None:
    """Print changes of the source table as they arrive.

    The command reads the stream of the table until Ctrl-C. For each change it shows the time, the event, the key and
    the attributes. If the stream contains old images too, it shows the attributes that changed, with their old and new
    values. With --json each change is one line. The command does not use the replica table.

    A stream keeps changes for 24 hours. With --since the command reads all of them, and shows those since this time.
    Otherwise it shows new changes only.

    \b
    Examples:
      ddbreplica tail --stack-name ddbreplica
      ddbreplica tail --source orders --keys-only
      ddbreplica tail --since 15m --json --limit 100

    Not more than two processes should read a stream, and Lambda is one of them: run only one `ddbreplica tail` at a
    time. The command exits with 2 if it fails.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.tail import run

    run(options, since=since, keys_only=keys_only, limit=limit)
