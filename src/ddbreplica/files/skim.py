"""A JSON text → the few members of it that are wanted. Memory does not grow with what is skipped. Pure.

`json.loads` takes up to 50 times the size of a text, whatever of it is wanted, and what lies in a bucket may be
anything. Of what is skipped only strings and brackets are looked at: it need not be valid otherwise.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

NAME_BYTES = 2048
"""A longer name is none that is wanted: a key attribute's has 255 characters."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_LITERAL = rb"[-+.0-9A-Za-z]++"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_A_STRING = re.compile(_STRING, re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|" + _LITERAL, re.DOTALL)
# Opening brackets, what has none but empty pairs, closing brackets.
_STEP = re.compile(
    rb'([\[{]*+)(?:[^"\[\]{}]++|' + _STRING + rb"|(?=\[\])..|(?=\{\})..)*+([\]}]*+)", re.DOTALL
)
# A part of a string, without half a character or half an escape; its bound is that of the memory of a match.
_PART = re.compile(
    rb'(?:[^"\\\x80-\xff]{1,256}|[\xc0-\xff][\x80-\xbf]{1,3}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]){1,1000}",
    re.DOTALL,
)


class NotJsonError(ValueError):
    """The text is no JSON where it was looked at."""

    def __init__(self, at: int) -> None:
        """`at` counts bytes from the beginning."""
        super().__init__(f"it is not JSON at byte {at + 1}")


class Skim:
    """A text, read from its beginning to its end.

    All methods raise ValueError or RecursionError for what is no JSON.
    """

    def __init__(self, text: bytes | memoryview) -> None:
        """Read nothing yet."""
        self._text = text
        self._at = 0

    @property
    def next(self) -> str:
        """The first character of what is next, such as `{` of an object; empty at the end."""
        self._pass(_SPACE)
        return bytes(self._text[self._at : self._at + 1]).decode("latin-1")

    def members(self) -> Iterator[str | None]:
        """The names of an object's members. After each, its value is next, and is skipped unless it was read.

        A name that is too long to be wanted is None.
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
        """Once for each element of an array, which is then next, and is skipped unless it was read."""
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
        """What is next, parsed; None if its text has more than so many bytes."""
        _ = self.next
        start = self._at
        self.skip()
        return json.loads(bytes(self._text[start : self._at])) if self._at - start <= most else None

    def text(self, into: memoryview) -> memoryview | None:
        """The content of the string that is next, in UTF-8, as the beginning of `into`; None if that is too small."""
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
        """Go to the end of the value that is next, however deep it is."""
        if self.next not in ("[", "{"):
            self._pass(_SCALAR, least=1)
            return
        depth = 0
        while step := _STEP.match(self._text, self._at):
            depth += step.end(1) - step.start(1)
            closing = step.end(2) - step.start(2)
            if closing >= depth:  # more than that close what was open before
                self._at = step.start(2) + depth
                return
            if step.end() == self._at:
                break
            depth -= closing
            self._at = step.end()
        raise NotJsonError(self._at)

    def end(self) -> None:
        """Raise ValueError unless this is the end of the text."""
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
        """Go to the end of what matches here, and return its length."""
        found = pattern.match(self._text, self._at)
        length = found.end() - found.start() if found else 0
        if length < least:
            raise NotJsonError(self._at)
        self._at += length
        return length
