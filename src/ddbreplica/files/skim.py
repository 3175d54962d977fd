"""Read a few members of a large JSON text, and skip the rest without using memory for it. Pure functions.

`json.loads` takes up to 50 times the size of a text, and an object in a bucket may have any content. Of the skipped
parts only strings and brackets are checked; otherwise they may be invalid.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

NAME_BYTES = 2048
"""A longer name is not read. The longest one that is needed is that of a key attribute, with 255 characters."""

# Possessive (`*+`): otherwise a match remembers a way back for each character, in memory that nothing limits.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_LITERAL = rb"[-+.0-9A-Za-z]++"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_A_STRING = re.compile(_STRING, re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|" + _LITERAL, re.DOTALL)
# Opening brackets; then anything without brackets, except empty pairs; then closing brackets.
_STEP = re.compile(
    rb'([\[{]*+)(?:[^"\[\]{}]++|' + _STRING + rb"|(?=\[\])..|(?=\{\})..)*+([\]}]*+)", re.DOTALL
)
# A part of a string that does not end within a character or an escape. Its length is limited: a match uses memory.
_PART = re.compile(
    rb'(?:[^"\\\x80-\xff]{1,256}|[\xc0-\xff][\x80-\xbf]{1,3}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]){1,1000}",
    re.DOTALL,
)


class NotJsonError(ValueError):
    """The text is not valid JSON in a part that was read."""

    def __init__(self, at: int) -> None:
        """`at` counts bytes from the beginning."""
        super().__init__(f"it is not JSON at byte {at + 1}")


class Skim:
    """Reads a text from its beginning to its end.

    All methods raise ValueError or RecursionError for invalid JSON.
    """

    def __init__(self, text: bytes | memoryview) -> None:
        """Begin at the start of the text."""
        self._text = text
        self._at = 0

    @property
    def next(self) -> str:
        """The first character of the next value, such as `{` of an object, or an empty text at the end."""
        self._pass(_SPACE)
        return bytes(self._text[self._at : self._at + 1]).decode("latin-1")

    def members(self) -> Iterator[str | None]:
        """Yield the names of an object's members. The caller may read the value after each name; else it is skipped.

        A name longer than NAME_BYTES is None.
        """
        self._take("{")
        if self._took("}"):
            return
        while True:
            name = self._name()
            self._take(":")
            at = self._at
            yield name
            if self._at == at:
                self.skip()
            if self._took("}"):
                return
            self._take(",")

    def elements(self) -> Iterator[None]:
        """Yield once for each element of an array. The element is then next; it is skipped unless it was read."""
        self._take("[")
        if self._took("]"):
            return
        while True:
            at = self._at
            yield
            if self._at == at:
                self.skip()
            if self._took("]"):
                return
            self._take(",")

    def value(self, most: int) -> Any:
        """Return the next value, parsed, or None if its text has more than so many bytes."""
        _ = self.next
        start = self._at
        self.skip()
        return json.loads(bytes(self._text[start : self._at])) if self._at - start <= most else None

    def text(self, into: memoryview) -> memoryview | None:
        """Write the next string to `into` in UTF-8, and return that part of it; None if `into` is too small."""
        self._take('"')
        size = 0
        while part := _PART.match(self._text, self._at):
            self._at = part.end()
            content = json.loads(b'"' + part[0] + b'"').encode("utf-8", "surrogatepass")
            if size + len(content) > len(into):
                return None
            into[size : size + len(content)] = content
            size += len(content)
        self._take('"', after_space=False)
        return into[:size]

    def skip(self) -> None:
        """Go to the end of the next value, however deeply it is nested."""
        if self.next not in ("[", "{"):
            self._pass(_SCALAR, least=1)
            return
        depth = 0
        while step := _STEP.match(self._text, self._at):
            depth += step.end(1) - step.start(1)
            closing = step.end(2) - step.start(2)
            if closing >= depth:  # any further brackets close values that contain this one
                self._at = step.start(2) + depth
                return
            # Without progress the text is not JSON, and this loop would not end.
            if step.end() == self._at:
                break
            depth -= closing
            self._at = step.end()
        raise NotJsonError(self._at)

    def end(self) -> None:
        """Raise ValueError unless the text ends here."""
        if self.next:
            raise NotJsonError(self._at)

    def _name(self) -> str | None:
        if self.next != '"':
            raise NotJsonError(self._at)
        start = self._at
        self._pass(_A_STRING, least=2)
        if self._at - start > NAME_BYTES:
            return None
        name: str = json.loads(bytes(self._text[start : self._at]))
        return name

    def _take(self, character: str, *, after_space: bool = True) -> None:
        if not self._took(character, after_space=after_space):
            raise NotJsonError(self._at)

    def _took(self, character: str, *, after_space: bool = True) -> bool:
        if after_space:
            self._pass(_SPACE)
        is_there = bytes(self._text[self._at : self._at + 1]) == character.encode()
        self._at += is_there
        return is_there

    def _pass(self, pattern: re.Pattern[bytes], *, least: int = 0) -> int:
        """Go to the end of what matches at this position, and return its length."""
        found = pattern.match(self._text, self._at)
        length = found.end() - found.start() if found else 0
        if length < least:
            raise NotJsonError(self._at)
        self._at += length
        return length
