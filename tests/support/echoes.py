"""DynamoDB's messages that quote the request, and the part of each that may be logged."""

INVALID = "One or more parameter values were invalid: "
ECHOES = (
    (
        "The parameter cannot be converted to a numeric value: {}",
        "The parameter cannot be converted to a numeric value …",
    ),
    (f"{INVALID}Input collection [{{}}, {{}}] contains duplicates", f"{INVALID}Input collection …"),
    (
        f"{INVALID}Input collection [{{}}, {{}}]of type BS contains duplicates.",
        f"{INVALID}Input collection …",
    ),
    (
        "1 validation error detected: Value '{}' at 'key' failed to satisfy constraint: Member must not be null",
        "1 validation error detected …",
    ),
    ('Invalid value "{}"', "Invalid value …"),
    ("Invalid value `{}`", "Invalid value …"),
    ("Invalid key {{PK={}}}", "Invalid key …"),
    ("Invalid key ({})", "Invalid key …"),
    ("Invalid key <{}>", "Invalid key …"),
    ("Unexpected value: {}", "Unexpected value …"),
    ("malformed record: attribute '{}': a value has an unknown type", "malformed record: attribute …"),
)
