"""click's ParamType, named with the type that it converts to: at run time click has that only since 8.5."""

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import ParamType
else:

    class ParamType(click.ParamType):
        """The same without the type."""

        def __class_getitem__(cls, _: object) -> type:
            """Return the class itself."""
            return cls


class Name(ParamType[str]):
    """A text that is not empty: `--source "$TABLE"` would mean the default table where that variable is not set."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        if not str(value).strip():
            self.fail("it is empty.", param, ctx)
        return str(value)


class Number(click.FloatRange):
    """A number within a range. NaN would be within any, since every comparison with it is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


__all__ = ["Name", "Number", "ParamType"]
