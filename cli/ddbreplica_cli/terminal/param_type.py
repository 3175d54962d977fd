"""Parameter types for click. ParamType is generic for the type checker; click supports this at run time since 8.5."""

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import ParamType
else:

    class ParamType(click.ParamType):
        """click's ParamType, which ignores the type argument at run time."""

        def __class_getitem__(cls, _: object) -> type:
            """Return the class itself."""
            return cls


class Name(ParamType[str]):
    """A text that is not empty: `--source "$TABLE"` must not select the default table if the variable is unset."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text unchanged."""
        if not str(value).strip():
            self.fail("the value is empty.", param, ctx)
        return str(value)


class Number(click.FloatRange):
    """A finite number within a range. NaN would pass the range check, since each comparison with it is false."""

    name = "number"  # for click's message: 'abc' is not a valid number.

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Integer(click.IntRange):
    """An integer within a range."""

    name = "integer"


__all__ = ["Integer", "Name", "Number", "ParamType"]
