"""rich's console, which escapes texts like everything else that is printed."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ddbreplica_cli.terminal.output import Escaping, displayed


def console_on(stream: TextIO | Escaping, **options: Any) -> Console:
    """Return a rich console whose own escape sequences pass, while those within a text are escaped."""
    return _Console(file=stream.stream if isinstance(stream, Escaping) else stream, **options)


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else self._displayed(segment)

    def _displayed(self, segment: Segment) -> Segment:
        return Segment(displayed(segment.text, self.encoding), segment.style)
