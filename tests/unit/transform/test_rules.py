"""rules: the digest is equal for rules that mean the same, and for no others."""

from itertools import combinations

from ddbreplica.transform.parse import parse
from ddbreplica.transform.rules import Rules
from ddbreplica.transform.secret import SecretId

SECRET = SecretId("arn", "1")


def test_the_spelling_does_not_change_the_digest() -> None:
    one = '{"hash": ["a", "b"], "set": {"x": {"NS": ["1", "2"]}, "y": {"N": "1"}}, "rename": {"c": "d", "e": "f"}}'
    other = """{
        "rename": {"e": "f", "c": "d"},
        "set": {"y": {"N": "1.0"}, "x": {"NS": ["2", "1.00"]}},
        "hash": ["b", "a"], "drop": []
    }"""

    assert parse(one).digest(SECRET) == parse(other).digest(SECRET)
    assert parse('{"keep": ["a", "b"]}').digest() == parse('{"keep": ["b", "a"]}').digest()
    assert parse('{"drop": ["a", "b"]}').digest() == parse('{"drop": ["b", "a"]}').digest()
    assert parse("{}").digest() == Rules().digest()


def test_the_digest_stays_the_same_in_later_versions() -> None:
    """It is stored with each verification."""
    rules = parse(
        '{"hash": ["a"], "concat": {"c": ["x#", {"attribute": "a"}]}, "drop": ["b"], "rename": {"d": "e"}}'
    )

    assert rules.digest(SECRET) == "83702f97269c5118851f26516ebf51070b60ee294c142a788bc89cd9409e4a62"


def test_another_meaning_has_another_digest() -> None:
    texts = [
        "{}",
        '{"keep": []}',
        '{"keep": ["a"]}',
        '{"drop": ["a"]}',
        '{"hash": ["a"]}',
        '{"rename": {"a": "b"}}',
        '{"rename": {"b": "a"}}',
        '{"set": {"a": {"S": "1"}}}',
        '{"set": {"a": {"N": "1"}}}',
        '{"set": {"a": {"S": "b"}}}',
        '{"concat": {"a": ["b"]}}',
        '{"concat": {"a": [{"attribute": "b"}]}}',
        '{"concat": {"a": ["b", "c"]}}',
        '{"concat": {"a": ["c", "b"]}}',
    ]

    assert all(parse(one).digest() != parse(other).digest() for one, other in combinations(texts, 2))


def test_the_version_of_the_secret_counts() -> None:
    rules = parse('{"hash": ["a"]}')
    digests = {
        rules.digest(secret) for secret in (None, SECRET, SecretId("arn", "2"), SecretId("other", "1"))
    }

    assert len(digests) == 4
    assert parse("{}").digest(SECRET) == parse("{}").digest()


def test_the_targets_are_what_rename_concat_and_set_make() -> None:
    rules = parse('{"rename": {"a": "b"}, "concat": {"c": ["x"]}, "set": {"d": {"S": "x"}}}')

    assert rules.targets == ("b", "c", "d")
