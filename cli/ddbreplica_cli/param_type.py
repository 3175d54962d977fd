"""click's ParamType, named with the type that it converts to: at run time click has that only since 8.5."""

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


__all__ = ["Name", "ParamType"]
