"""Generate a random history of a few keys as stream records, with its expected end state. Pure."""

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from ddbreplica.model import Image, Key
from ddbreplica.records.decode import key_of
from tests.support.mapping import Shard
from tests.support.records import record

Record: TypeAlias = Mapping[str, Any]

REFUSED = "refuse"
"""The attribute of items that the simulated replica always rejects."""

_TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
# Several texts of the same number are the same key.
_SPELLINGS = ("{}", "{}.0", "{}00E-2", "+{}")
_HASHED = ("written", "text", "number", "bytes", "flag", "map")
_VALUES: Sequence[Image] = (
    {"text": {"S": 'é 🙂 "quoted" \u2028'}, "empty": {"S": ""}},
    {"number": {"N": "12345678901234567890123456789012345678"}, "zero": {"N": "0"}},
    {"bytes": {"B": "AP8="}, "blobs": {"BS": ["AA==", "/w=="]}},
    {"map": {"M": {"deep": {"L": [{"B": "AQI="}, {"NULL": True}, {"M": {}}]}}}},
    {"texts": {"SS": ["a", "ä"]}, "numbers": {"NS": ["1", "2.5"]}, "flag": {"BOOL": False}},
    {},
)


@dataclass(frozen=True, slots=True)
class History:
    """The changes of a source. `schema` is its key, `shards` are the records of its stream."""

    records: Sequence[Record]
    shards: Sequence[Shard]
    schema: Mapping[str, str]

    def state(self, *, without: Collection[str], ttl_deletes: bool) -> dict[Key, Image]:
        """Return the end state of the table, as if the records with these sequence numbers did not exist."""
        state: dict[Key, Image] = {}
        for one in self.records:
            data = one["dynamodb"]
            if data["SequenceNumber"] in without or self.is_skipped(one, ttl_deletes=ttl_deletes):
                continue
            state.pop(key_of(data["Keys"]), None)
            if "NewImage" in data:
                state[key_of(data["Keys"])] = data["NewImage"]
        return state

    def is_skipped(self, one: Record, *, ttl_deletes: bool) -> bool:
        """Return whether the record is a TTL delete that must not be replicated."""
        return "userIdentity" in one and not ttl_deletes


MEMBERS = ("hash", "concat", "set", "keep", "drop", "rename")
"""The members of a transform."""


def transform(chance: Random, schema: Mapping[str, str]) -> dict[str, Any]:
    """Return a transform with some of the members for two of five histories, and else one without members.

    Items with a boolean or a map under `hash` or `concat` cannot be transformed. No transform refuses every item,
    since the function then fails until the records are discarded.
    """
    if chance.random() >= 0.4:
        return {}
    members = {member for member in MEMBERS if chance.random() < 0.6}
    members -= {chance.choice(("keep", "drop"))} if {"keep", "drop"} <= members else set()
    moved, hashed = chance.sample(("text", "number", "zero"), 2), chance.sample(_HASHED, 2)
    key = "written" if schema["PK"] == "B" else "PK"
    part = {"attribute": chance.choice((key, "written", "zero", "text", "map", *hashed))}
    rules = {
        "hash": hashed,
        "concat": {"index": ["w#", part]},
        "set": {"copied": {"N": "1.0"}},
        "keep": sorted({*moved, *hashed, "blobs", REFUSED}),
        "drop": ["empty", "blobs", "texts"],
        "rename": chance.choice(({moved[0]: moved[1], moved[1]: moved[0]}, {moved[0]: "renamed"})),
    }
    return {member: rules[member] for member in MEMBERS if member in members}


def history(chance: Random, *, one_spelling: bool) -> History:
    """Generate up to 300 records of up to 120 keys, some of them poison or malformed.

    DynamoDB always uses the same text for a key. Without `one_spelling` this history does not.
    """
    schema = {name: chance.choice("SNB") for name in chance.choice((["PK"], ["PK", "SK"]))}
    most_keys, length = chance.choices(((3, 5), (20, 20), (40, 80), (120, 300)), (30, 35, 30, 5))[0]
    homes = {number: chance.choice("12") for number in range(chance.randint(most_keys // 2, most_keys))}
    bad = chance.choice((0, 0, 2, 10))
    split = chance.randint(0, 2 * length)
    records: list[Record] = []
    shards: dict[str, Shard] = {}
    for sequence_number in range(length):
        number = chance.choice(tuple(homes))
        spelling = 0 if one_spelling else chance.randrange(len(_SPELLINGS))
        keys = dict(_key(schema, number, spelling, chance))
        one = _record(sequence_number, keys, chance, bad=bad)
        shard = _shard(homes[number], number, is_split=sequence_number >= split)
        shards.setdefault(shard.id, shard).records.append(one)
        records.append(one)
    return History(records, [*shards.values()], schema)


def is_malformed(one: Record) -> bool:
    """Return whether the record is malformed."""
    return "malformed" in one["dynamodb"].get("NewImage", {})


def is_refused(image: Image) -> bool:
    """Return whether the replica always rejects the item."""
    return REFUSED in image


def _key(schema: Mapping[str, str], number: int, spelling: int, chance: Random) -> Iterator[tuple[str, Any]]:
    names = list(schema)
    chance.shuffle(names)
    for name in names:
        yield name, {schema[name]: _spelled(schema[name], number + 1, spelling)}


def _spelled(tag: str, number: int, spelling: int) -> str:
    match tag:
        case "N":
            return _SPELLINGS[spelling].format(number)
        case "B":
            return b64encode(number.to_bytes(2)).decode()
    return str(number)


def _record(sequence_number: int, keys: Image, chance: Random, *, bad: int) -> Record:
    """Return a record. About `bad` of a hundred are poison or malformed."""
    at = {"ApproximateCreationDateTime": 1.7940960e9 + sequence_number // 10}
    what = chance.choices(("put", "delete", "expire", "poison", "malformed"), (75, 15, 5, bad, bad))[0]
    extra = {"userIdentity": _TTL} if what == "expire" else {}
    image = None if what in ("delete", "expire") else {**keys, **_attributes(what, sequence_number, chance)}
    name = "REMOVE" if image is None else chance.choice(("INSERT", "MODIFY"))
    one = record(sequence_number, name, keys, image, **extra)
    one["dynamodb"] |= at
    return one


def _attributes(what: str, sequence_number: int, chance: Random) -> dict[str, Any]:
    values = dict(chance.choice(_VALUES)) | {"written": {"N": str(sequence_number)}}
    match what:
        case "poison":
            return values | {REFUSED: {"BOOL": True}}
        case "malformed":
            return values | {"malformed": chance.choice(({"X": "?"}, {"B": "A"}, {"S": 1}, {}, None))}
    return values


def _shard(home: str, number: int, *, is_split: bool) -> Shard:
    return Shard(f"{home}-{number % 2}", [], parent=home) if is_split else Shard(home, [])
