"""AWS's words about a refusal → the same without what they quote, and not too long. Pure.

DynamoDB puts values into some of its messages, always behind a mark: `Input collection [a, a] contains duplicates`,
`cannot be converted to a numeric value: a`, `Value 'a' at 'key' failed to satisfy constraint`. So a message ends here
at its first mark, unless what follows is known to be no value.
"""

import re

MAX_LENGTH = 300

# What stands behind these is a name of the schema, a type, or another sentence.
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
    *("malformed record", "may still land", "refused by the replica"),
)
_PLAIN = re.compile(
    rf"""(?:
        \b(?:{"|".join(map(re.escape, _LABELS))}):
        | (?<=\w)'(?=\w)                     # an apostrophe
        | \(HTTP\ \d+\)
        | URL:\ "https?://[\w.:/-]+"         # the endpoint, in a message of botocore
        | [^\x00-\x1f\x7f'"`:()\[\]{{}}<>]
    )*""",
    re.VERBOSE,
)


def redact(message: str) -> str:
    """Return the message up to its first mark, with an ellipsis where something was cut off."""
    matched = _PLAIN.match(message)
    plain = matched[0][:MAX_LENGTH] if matched else ""
    return plain if plain == message else f"{plain.rstrip()} …"
