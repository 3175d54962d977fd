"""click's ParamType, named with the type that it converts to: at run time click has that only since 8.5."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click import ParamType
else:
    import click

    class ParamType(click.ParamType):
        """The same without the type."""

        def __class_getitem__(cls, _: object) -> type:
            """Return the class itself."""
            return cls


__all__ = ["ParamType"]
