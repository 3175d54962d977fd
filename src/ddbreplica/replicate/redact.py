"""Shorten an error message of AWS so that it contains no value of an item. Pure functions.

DynamoDB puts values into some of its messages, always after a mark: a quote, a bracket or a colon. Examples are
`Input collection [a, a] contains duplicates`, `cannot be converted to a numeric value: a` and
`Value 'a' at 'key' failed to satisfy constraint`. Therefore a message is cut at its first mark, unless the text before
the mark shows that no value follows. The quarantine object has the whole message.
"""

import re

MAX_LENGTH = 300

# After these a name of the schema, a type or another sentence follows, and no value.
_LABELS = (
    *(
        "Actual",
        "Expected",
        "IndexKey",
        "IndexName",
        "Key",
        "Table",
        "actual",
        "expected",
        "found",
        "invalid",
        "limits",
    ),
    *("cannot be transformed", "malformed record", "may still land", "refused by the replica"),
)
_PLAIN = re.compile(
    rf"""(?:
        \b(?:{"|".join(map(re.escape, _LABELS))}):
        | (?<=\w)'(?=\w)                     # an apostrophe
        | \(HTTP\ \d+\)
        | URL:\ "https?://[\w.:/-]+"         # the endpoint, in a message of botocore
        | (?<=cannot\ be\ transformed:\ )attribute\ '[\w.-]+'(?=\ (?:has|is\ not\ valid\ for\ its)\ type\ )
        | [^\x00-\x1f\x7f'"`:()\[\]{{}}<>]
    )*""",
    re.VERBOSE,
)


def redact(message: str) -> str:
    """Return the message up to the first mark after which a value may follow, and an ellipsis if a part was cut off."""
    matched = _PLAIN.match(message)
    plain = matched[0][:MAX_LENGTH] if matched else ""
    return plain if plain == message else f"{plain.rstrip()} …"
