"""Remove one rule from a function's code. A pattern finds the rule, whatever the function calls its variables.

A pattern is Python: an expression, statements, or a handler (`except …:`). A name in it that is unknown in the
function's module matches any variable, the same one wherever it appears. `...` as a body matches any statements; as the
first argument of a call it matches all arguments that the pattern does not list. The replacement may use both.
"""

import ast
import builtins
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import getsource
from textwrap import dedent
from types import CodeType
from typing import Any

import pytest

_NAMES = ("arg", "id", "name")
"""Fields of a syntax tree that contain the name of a variable."""

_REST = ("body", "orelse", "handlers", "finalbody")
"""Fields of a statement that a `...` as its body matches."""


@dataclass(slots=True)
class _Found:
    """What the names of a pattern and each `...` in it match."""

    names: dict[str, str] = field(default_factory=dict)
    statements: list[Any] = field(default_factory=list)
    calls: list[ast.Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """The syntax tree of a function, and the names that its module or Python defines."""

    tree: ast.Module
    known: frozenset[str]

    @classmethod
    def of(cls, function: Any) -> "Source":
        known = {*function.__globals__, *dir(builtins), *function.__code__.co_freevars}
        return cls(ast.parse(dedent(getsource(function))), frozenset(known))

    def renamed(self) -> "Source":
        """Return the same function with another name for each variable, except where a name of the module is hidden."""
        tree = deepcopy(self.tree)
        variables = self._variables() - self.known
        for node in ast.walk(tree):
            for each in _NAMES:
                if not isinstance(node, ast.keyword) and getattr(node, each, None) in variables:
                    setattr(node, each, f"{getattr(node, each)}_")
        return Source(tree, self.known)

    def without(self, rule: str, instead: str, *, given: Sequence[str] = ()) -> "Source":
        """Return the function with its rule replaced. Raises ValueError unless the rule matches exactly once.

        `given` are other parts of the function, whose matches define further names of `instead`.
        """
        source = Source(deepcopy(self.tree), self.known)
        pattern, other = _parsed(rule, instead)
        places = [*source._places(pattern)]
        if len(places) != 1:
            raise ValueError(f"the function has this {len(places)} times: {rule}")
        ((replace, found),) = places
        for part in given:
            (_, more), *_ = source._places(_parsed(part, part)[0], found)
            found.names |= more.names
        replace(_Filled(found).visit(other) if isinstance(other, ast.AST) else _statements(other, found))
        ast.fix_missing_locations(source.tree)
        if unknown := source._read() - source._variables() - source.known:
            raise ValueError(f"no pattern defines these names: {sorted(unknown)}")
        return source

    def code(self) -> CodeType:
        """Return the function's code, to be executed with the names of the function's module."""
        (function,) = self.tree.body
        (code,) = (
            constant
            for constant in compile(self.tree, "<without a rule>", "exec").co_consts
            if isinstance(constant, CodeType) and constant.co_name == getattr(function, "name", None)
        )
        return code

    def _read(self) -> set[str]:
        return {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}

    def _variables(self) -> set[str]:
        bound: set[str] = set()
        (function,) = self.tree.body
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name))
                ):
                    bound.add(name)
                case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    bound.add(name)
                case ast.FunctionDef(name=name) if node is not function:
                    bound.add(name)
        return bound

    def _places(
        self, pattern: Any, known: _Found | None = None
    ) -> Iterator[tuple[Callable[[Any], None], _Found]]:
        """Yield for each match of a pattern a function that replaces it, and what its names match."""
        match = _Match(self.known, self._variables())
        for node in ast.walk(self.tree):
            for name, content in ast.iter_fields(node):
                size = len(pattern) if isinstance(pattern, list) else 1
                for at in range(len(content) - size + 1) if isinstance(content, list) else [None]:
                    part = content if at is None else content[at : at + size]
                    found = _Found(dict(known.names) if known else {})
                    if at is not None and not isinstance(pattern, list):
                        (part,) = part
                    if match(pattern, part, found):
                        yield _replacing(node, name, at, size), found


def _replacing(node: ast.AST, name: str, at: int | None, size: int) -> Callable[[Any], None]:
    def replace(other: Any) -> None:
        if at is None:
            setattr(node, name, other)
        else:
            getattr(node, name)[at : at + size] = other if isinstance(other, list) else [other]

    return replace


def _parsed(rule: str, instead: str) -> tuple[Any, Any]:
    """Parse both as expressions if possible, else as statements, or both as handlers."""
    if rule.startswith("except"):
        return _handler(rule), _handler(instead)
    one, other = ast.parse(rule).body, ast.parse(instead).body
    if all(len(body) == 1 and isinstance(body[0], ast.Expr) for body in (one, other)):
        return one[0].value, other[0].value  # type: ignore[attr-defined]
    return one, other


def _handler(text: str) -> ast.ExceptHandler:
    (statement,) = ast.parse(f"try: pass\n{text}").body
    assert isinstance(statement, ast.Try)
    return statement.handlers[0]


def _is_any(node: Any) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _has_any_body(node: Any) -> bool:
    body = getattr(node, "body", None)
    return (
        isinstance(body, list) and len(body) == 1 and isinstance(body[0], ast.Expr) and _is_any(body[0].value)
    )


def _has_any_arguments(node: Any) -> bool:
    return isinstance(node, ast.Call) and len(node.args) == 1 and _is_any(node.args[0])


@dataclass(frozen=True, slots=True)
class _Match:
    """Compares a pattern with a part of a tree, and records what its names match."""

    known: frozenset[str]
    variables: set[str]

    def __call__(self, pattern: Any, node: Any, found: _Found) -> bool:
        if isinstance(pattern, list) and isinstance(node, list):
            return len(pattern) == len(node) and all(
                self(one, other, found) for one, other in zip(pattern, node, strict=True)
            )
        if not isinstance(pattern, ast.AST) or type(pattern) is not type(node):
            return bool(pattern == node)
        if _has_any_arguments(pattern):
            return self._call(pattern, node, found)
        rest = _REST if _has_any_body(pattern) else ()
        if rest:
            found.statements.append(node)
        return all(
            self._name(each, getattr(node, name), found)
            if name in _NAMES and isinstance(each, str) and not isinstance(pattern, ast.keyword)
            else self(each, getattr(node, name), found)
            for name, each in ast.iter_fields(pattern)
            if name not in ("ctx", *rest)
        )

    def _call(self, pattern: Any, node: Any, found: _Found) -> bool:
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        wanted = {keyword.arg: keyword.value for keyword in pattern.keywords}
        left = [keyword for keyword in node.keywords if keyword.arg not in wanted]
        found.calls.append(ast.Call(node.func, node.args, left))
        return (
            wanted.keys() <= named.keys()
            and self(pattern.func, node.func, found)
            and all(self(value, named[name], found) for name, value in wanted.items())
        )

    def _name(self, expected: str, actual: Any, found: _Found) -> bool:
        if expected in self.known:
            return bool(expected == actual)
        return actual in self.variables and found.names.setdefault(expected, actual) == actual


class _Filled(ast.NodeTransformer):
    """Inserts what was matched into the replacement."""

    def __init__(self, found: _Found) -> None:
        self._found = found

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if _has_any_body(node):
            whole = self._found.statements.pop(0)
            for name in _REST:
                if hasattr(whole, name):
                    setattr(node, name, getattr(whole, name))
            return self._named(node, but=_REST)
        if isinstance(node, ast.Call) and _has_any_arguments(node):
            whole = self._found.calls.pop(0)
            keywords = [self.visit(keyword) for keyword in node.keywords]
            return ast.Call(self.visit(node.func), whole.args, [*whole.keywords, *keywords])
        return self._named(node)

    def _named(self, node: ast.AST, but: Sequence[str] = ()) -> ast.AST:
        for name, content in ast.iter_fields(node):
            if name in but:
                continue
            if name in _NAMES and isinstance(content, str) and not isinstance(node, ast.keyword):
                setattr(node, name, self._found.names.get(content, content))
            elif isinstance(content, ast.AST):
                setattr(node, name, self.visit(content))
            elif isinstance(content, list):
                setattr(
                    node, name, [self.visit(each) if isinstance(each, ast.AST) else each for each in content]
                )
        return node


def _statements(nodes: Sequence[ast.AST], found: _Found) -> list[Any]:
    filled = _Filled(found)
    return [filled.visit(node) for node in nodes]


def fails_without(
    monkeypatch: pytest.MonkeyPatch, where: Any, rule: str, instead: str, law: Callable[[], object]
) -> None:
    """Check that a law does not hold if the rule of a function is replaced."""
    monkeypatch.setattr(where, "__code__", Source.of(where).without(rule, instead).code())

    with pytest.raises(AssertionError):
        law()
