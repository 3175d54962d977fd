"""Refuse rules that contradict each other, or that change a key. Pure functions."""

from collections import Counter
from collections.abc import Collection

from ddbreplica.transform.rules import Rules, refused


def check(rules: Rules) -> None:
    """Raise TransformError for the first contradiction, with the attribute and what is allowed."""
    twice = [name for name, count in Counter(rules.targets).items() if count > 1]
    _refuse(
        twice,
        'makes the attribute {} more than once, by "rename", "concat" or "set"',
        allowed="a different name for each attribute that is made",
    )
    _refuse(
        rules.drop & {*rules.targets},
        'makes the attribute {}, which is in "drop"',
        allowed='only names that are not in "drop"; the source\'s own attribute of such a name is removed anyway',
    )
    _refuse(
        _removed(rules, rules.hashed),
        "hashes the attribute {}, which is removed",
        allowed='in "hash" only attributes that remain; an attribute that is removed needs no hash',
    )
    _refuse(
        _removed(rules, rules.rename),
        "renames the attribute {}, which is removed",
        allowed='in "rename" only attributes that remain',
    )


def check_key(rules: Rules, key: Collection[str]) -> None:
    """Raise TransformError if the rules change a key attribute: the replica has the key of the source."""
    allowed = f"key attributes ({', '.join(sorted(key))}) as they are; they may be parts of a concat"
    for names, fact in (
        (rules.hashed, "hashes the key attribute {}"),
        (rules.drop, "drops the key attribute {}"),
        (rules.rename, "renames the key attribute {}"),
        (rules.targets, 'makes the key attribute {}, by "rename", "concat" or "set"'),
    ):
        _refuse([name for name in names if name in key], fact, allowed=allowed)


def _removed(rules: Rules, names: Collection[str]) -> Collection[str]:
    """Return the names that `keep` or `drop` takes away."""
    return rules.drop & {*names} if rules.keep is None else {*names} - rules.keep


def _refuse(names: Collection[str], fact: str, *, allowed: str) -> None:
    if names:
        raise refused(fact.format(f'"{min(names)}"'), allowed=allowed)
