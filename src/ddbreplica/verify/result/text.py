"""Format the document of a verification's result as text. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ddbreplica.bucket.verification_record import BY_LOOKS, NOT_EQUAL
from ddbreplica.records.text import difference_texts, key_text, lines, printable
from ddbreplica.verify.difference import EVERYTHING, NO_DIFFERENCE, DifferenceKind

_DIFFERENCES: Final = tuple(finding.value for finding in DifferenceKind if finding not in NO_DIFFERENCE)
_UNLESS_ZERO: Final = ("moving", "archived", "source_outside", "replica_outside", "in_doubt")
_LONGEST_VALUE = 60
_WIDTH = 27
_DIGITS = 12
"""The digits of a transform's digest that are shown: enough to tell two transforms apart."""

_CHANGED = "The function's transform was changed meanwhile, so that nothing is known. Verify again."
_LABELS = {"source_outside": "source excluded", "replica_outside": "replica excluded"}
_SIDES = {
    DifferenceKind.MISSING.value: "in the source only",
    DifferenceKind.EXTRA.value: "in the replica only",
}


def text_of(document: Mapping[str, Any]) -> str:
    """Return the counts, the first differences and, on the last line, the verdict."""
    looked_at = document["looked_at"]
    rows = {
        "source": document["source"],
        "replica": document["replica"],
        **({} if looked_at == EVERYTHING else {"compared": looked_at}),
        **({"confirmed": "by looks"} if document["confirmed_by"] == BY_LOOKS else {}),
        **({"transform": document["transform"][:_DIGITS]} if document.get("transform") else {}),
    }
    figures = {**_counts(document), "seconds": f"{document['seconds']:.2f}"}
    table = [f"{name:<15}{value}" for name, value in rows.items()]
    aligned = [f"{name}{figure:>{_WIDTH - len(name)}}" for name, figure in figures.items()]
    changed = [_CHANGED, ""] if document.get("transform_changed") else []
    return lines([*table, *aligned, "", *shown(document), *changed, _last_line(document)])


def shown(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the first differences as lines; there is none without differences."""
    first = document["differences"]
    for difference in first:
        yield _line(difference)
        for attribute in difference["attributes"]:
            yield from _attribute_lines(attribute)
    more = sum(document[finding] for finding in _DIFFERENCES) - len(first)
    if more:
        yield f"and {more:,} more"
    if first or more:
        yield ""


def _counts(document: Mapping[str, Any]) -> Mapping[str, str]:
    always = ("source_items", "replica_items", *_DIFFERENCES)
    names = (*always, *(("repaired",) if "repaired" in document else ()))
    counts = {name: document[name] for name in names}
    beside = {name: document[name] for name in _UNLESS_ZERO if document[name]}
    return {
        _LABELS.get(name, name.replace("_", " ")): f"{count:,}"
        for name, count in {**counts, **beside}.items()
    }


def _last_line(document: Mapping[str, Any]) -> str:
    verdict: str = document["verdict"]
    said = verdict.upper() if verdict == NOT_EQUAL else verdict
    return said if document["looked_at"] == EVERYTHING else f"{said} ({document['looked_at']})"


def _line(difference: Mapping[str, Any]) -> str:
    key = key_text(difference["key"], longest=_LONGEST_VALUE)
    side = _SIDES.get(difference["finding"])
    notes = "".join(f"  ({note})" for note in (side, difference.get("reason")) if note)
    repair = difference.get("repair")
    return f"{difference['finding']:<13}{key}{notes}" + (f": {repair}" if repair else "")


def _attribute_lines(attribute: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'':<13}{printable(attribute['name'])}"
    if "source" not in attribute:  # without values
        return
    source, replica = difference_texts(attribute["source"], attribute["replica"], longest=_LONGEST_VALUE)
    yield f"{'':<15}source   {source}"
    yield f"{'':<15}replica  {replica}"
