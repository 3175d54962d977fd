"""Verifications that watch suspected differences without pauses, with a stream that can be read."""

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.model import Key
from ddbreplica.verify.confirm import plan
from ddbreplica.verify.confirm.stream_witness import StreamWitness


class Silence:
    """A stream that can be read, and has no record since the watch began; older records are not known."""

    def begin(self) -> None:
        """Begin."""

    def keep_up(self, _: object) -> None:
        """Read nothing, which succeeds."""

    def changed(self, _: object) -> frozenset[Key]:
        return frozenset()

    def silent(self, _: object) -> Unknown:
        return Unknown("only what is written now is known")


def let_streams_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the source's stream, which moto does not always allow to read."""
    monkeypatch.setattr(StreamWitness, "of", lambda *_: Silence())


def watch_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at a suspected difference as often as always, but without the pauses of a watch."""
    monkeypatch.setattr(plan, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(plan, "SECONDS_BETWEEN_LOOKS_ALONE", 0.0)
