"""Gather the suspected differences of all segments, and divide them into pieces."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from math import ceil
from typing import Final

from ddbreplica.jobs.job import Job
from ddbreplica.jobs.objects import PIECES, SUSPECTS, document_bytes, lines_of
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.verify.progress import SegmentProgress, Suspects, segments_done
from ddbreplica.model import Key
from ddbreplica.records.decode import attributes_of, key_of
from ddbreplica.verify.confirm import plan as watching
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import MAX_SUSPECTS_AT_ONCE

PIECE: Final = 10_000
"""The most suspected differences of a piece. Each piece reads the source's stream, so there are few of them."""

LOOKING_SECONDS: Final = 200.0
"""How long the two first looks at all keys of a piece may take at the read rates. They are not resumed."""

_CHUNK = 1_000


def gather(job: Job, plan: Plan) -> Suspects:
    """Write the pieces of suspected differences, and return them. Raises TaskError if a segment is not done."""
    job.ending.check()
    body = job.objects.read(SUSPECTS)
    if body is None:
        # All segments are done, so that whoever gathers first has the same keys as any other.
        progress = segments_done(job.objects, plan, job.ending.check)
        gathered = _gathered(job, progress, size=_piece_size(plan))
        body = job.objects.create(SUSPECTS, document_bytes(gathered.document()))
    suspects = Suspects.read(json.loads(body))
    lines = lines_of({"pieces": [number]} for number in range(len(suspects.pieces)))
    job.objects.create(PIECES, b"".join(lines))
    return suspects


def _piece_size(plan: Plan) -> int:
    source, replica = (rate / plan.workers for rate in plan.read_rates)
    keys = watching.Rates(source, replica).keys_in(LOOKING_SECONDS, looks=2)
    return max(watching.LEAST_WATCHED, int(min(keys, PIECE)))


def _gathered(job: Job, segments: Sequence[SegmentProgress], *, size: int) -> Suspects:
    with closing(KeySet()) as keys:
        are_all = _collect(job, segments, keys)
        every = [key for chunk in keys.chunks(_CHUNK) for key in chunk]
    count = ceil(len(every) / size)
    # In turn, so that each piece is a sample of all keys: a part of the table may differ as a whole.
    pieces = [every[first::count] for first in range(count)]
    return Suspects(
        [job.objects.add(lines_of(map(attributes_of, piece))) for piece in pieces],
        [len(piece) for piece in pieces],
        are_all=are_all,
    )


def _collect(job: Job, segments: Sequence[SegmentProgress], keys: KeySet) -> bool:
    """Add the suspected differences of all segments, each key once. Return False if there are too many."""
    for chunk in _chunks(key_of(line) for each in segments for line in job.objects.lines(each.parts)):
        job.ending.check()
        if len(keys) >= MAX_SUSPECTS_AT_ONCE:
            return False
        keys.add(chunk)
    return True


def _chunks(keys: Iterator[Key]) -> Iterator[Sequence[Key]]:
    while chunk := list(islice(keys, _CHUNK)):
        yield chunk
