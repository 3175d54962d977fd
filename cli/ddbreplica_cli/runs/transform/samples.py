"""Apply a transform to sample items, from a file with an event of a stream or from the source table."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import EventError, TaskError, naming
from ddbreplica.files.limits import MAX_PAYLOAD
from ddbreplica.model import Image
from ddbreplica.records.decode import Decoded, decode
from ddbreplica.records.text import bare, cut, key_text, value_text
from ddbreplica.transform.transform import Transform, UntransformableError
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import noting_interrupts

_LONGEST_NAME, _LONGEST_VALUE = 30, 40

TransformOf = Callable[[Collection[str]], Transform]
"""Return the transform for tables with these key attributes. Raises TransformError."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An item at the source and at the replica. `untransformable` is the reason if there is no item at the replica."""

    key: Image
    source: Image
    replica: Image | None
    untransformable: str | None

    def document(self) -> dict[str, Any]:
        """Return the sample for a JSON document."""
        return asdict(self)

    def lines(self) -> Sequence[str]:
        """Return the sample as lines of text: the key, and one line for each other attribute."""
        key = key_text(self.key, longest=_LONGEST_VALUE)
        if self.replica is None:
            return [key, f"  cannot be transformed: {self.untransformable}"]
        names = sorted({*self.source, *self.replica} - self.key.keys())
        rows = [
            ("attribute", "source", "replica"),
            *((cut(bare(name), _LONGEST_NAME), *self._values(name)) for name in names),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        texts = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return [key, *(f"  {text}" for text in texts)]

    def _values(self, name: str) -> tuple[str, str]:
        source, replica = (item.get(name) for item in (self.source, self.replica or {}))
        return value_text(source, longest=_LONGEST_VALUE), value_text(replica, longest=_LONGEST_VALUE)


def of_event(path: Path, transform_of: TransformOf) -> list[Sample]:
    """Return samples of the items of an event, the records without an item left out."""
    decoded = _decoded(path)
    if decoded.poison:
        output.print_note(f"Note: {path}: {len(decoded.poison)} records cannot be decoded.")
    images = [(change.key_attributes, change.image) for change in decoded.changes if change.image is not None]
    return list(_samples(images, transform_of))


def of_source(connection: Connection, limit: int, transform_of: TransformOf) -> list[Sample]:
    """Return samples of the first items that a scan of the source returns."""
    table = describe(connection.source).table
    names = [name for name, _ in table.key_schema]
    transform_of(names)  # before anything is read
    with noting_interrupts() as interrupt:
        reader = TableReader.of(connection.source, table, Patience(interrupt), threads=1, read_rate=None)
        items = list(islice(_items(reader, limit), limit))
        interrupt.check()  # a signal during the last page
    return list(_samples(((_only(item, names), item) for item in items), transform_of))


def _decoded(path: Path) -> Decoded:
    with naming(path), path.open("rb") as file:
        content = file.read(MAX_PAYLOAD + 1)
    if len(content) > MAX_PAYLOAD:
        raise TaskError(f"{path} is larger than an event.", hint="give a file with the event of one batch.")
    try:
        return decode(json.loads(content), replicate_ttl_deletes=True)
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"{path} is not JSON: {error}.", hint="give a file such as events/insert.json."
        ) from error
    except EventError as error:
        raise TaskError(
            f"{path} is not an event of a DynamoDB stream: {error.fact}",
            hint="give a file such as events/insert.json.",
        ) from error


def _items(reader: TableReader, limit: int) -> Iterator[Image]:
    after = None
    while True:
        page = reader.scan_page(0, of=1, after=after, consistent=False, limit=limit)
        yield from page.items
        after = page.cursor
        if after is None:
            return


def _samples(items: Iterable[tuple[Image, Image]], transform_of: TransformOf) -> Iterator[Sample]:
    for key, source in items:
        transform = transform_of(key.keys())
        try:
            yield Sample(key, source, transform.apply(source), None)
        except UntransformableError as error:
            yield Sample(key, source, None, str(error))


def _only(item: Image, names: Iterable[str]) -> Image:
    return {name: item[name] for name in names}
