"""What the tests of the commands share."""

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.model import Key
from ddbreplica.verify.confirm.stream_witness import StreamWitness


class Silence:
    """A stream that can be read, and has no record since the watch began; older records are not known."""

    def begin(self) -> None:
        """Begin."""

    def keep_up(self, _: object) -> None:
        """Read nothing."""

    def changed(self, _: object) -> frozenset[Key]:
        return frozenset()

    def silent(self, _: object) -> Unknown:
        return Unknown("only what is written now is known")


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the source's stream be read, which moto does not always allow. tests/functional/verify reads real streams."""
    monkeypatch.setattr(StreamWitness, "of", lambda *_: Silence())
