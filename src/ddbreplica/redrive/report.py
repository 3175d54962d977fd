"""Show the result of a redrive as JSON values and as text. Pure."""

from collections.abc import Iterator
from typing import Any

from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import bare, key_text, lines
from ddbreplica.redrive.objects import ObjectOutcome, Redriven, RemainingObject

_WIDTH = 13


def document(redriven: Redriven) -> dict[str, Any]:
    """Return the result as JSON values; keys are in DynamoDB JSON."""
    return {
        "objects": redriven.counts.total(),
        **{outcome.value: redriven.counts[outcome] for outcome in ObjectOutcome},
        "keys_healed": redriven.keys,
        "keys_resumed": redriven.resumed,
        "keys_in_doubt": redriven.in_doubt,
        "left": [_as_document(left) for left in redriven.left.first],
        "more_left": redriven.left.more,
        "left_keys": [
            {"outcome": outcome.value, "key": attributes_of(key), "reason": reason}
            for key, (outcome, reason) in redriven.open.items()
        ],
    }


def text(redriven: Redriven) -> str:
    """Return the result as text: counts, then the objects and keys that are left, with reasons."""
    counts = {
        outcome.label: redriven.counts[outcome] for outcome in ObjectOutcome if redriven.counts[outcome]
    }
    more = {
        "keys resumed": redriven.resumed,
        "in doubt": redriven.in_doubt,
        "not listed": redriven.left.more,
    }
    more = {name: count for name, count in more.items() if count}
    rows = {"objects": redriven.counts.total(), **counts, "keys repaired": redriven.keys, **more}
    table = [f"{name:<{_WIDTH}}{count:>12,}" for name, count in rows.items()]
    return lines(
        [*table, *(line for left in redriven.left.first for line in _as_lines(left)), *_left_keys(redriven)]
    )


def _as_document(left: RemainingObject) -> dict[str, Any]:
    return {
        "outcome": left.outcome.value,
        "object": left.found.url,
        "reason": left.reason,
        "keys": [attributes_of(key) for key in left.keys],
        "more_keys": left.more_keys,
    }


def _as_lines(left: RemainingObject) -> Iterator[str]:
    yield ""
    yield f"{left.outcome.value:<{_WIDTH}}{bare(left.found.url)}"
    if left.keys:
        others = len(left.keys) - 1 + left.more_keys
        more = f" and {others:,} more" if others else ""
        yield f"{'':<{_WIDTH}}{key_text(attributes_of(left.keys[0]))}{more}"
    yield f"{'':<{_WIDTH}}{' '.join(left.reason.split())}"


def _left_keys(redriven: Redriven) -> Iterator[str]:
    for key, (outcome, reason) in redriven.open.items():
        yield ""
        yield f"{outcome.value:<{_WIDTH}}{key_text(attributes_of(key))}"
        yield f"{'':<{_WIDTH}}{' '.join(reason.split())}"
