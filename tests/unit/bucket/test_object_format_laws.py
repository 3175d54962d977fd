"""object_format: whatever an object contains, it is read or refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.bucket.object_format import ForeignError, UnreadableError
from tests.support.records import put
from tests.unit.bucket.test_object_format import body, discarded_body, kept, lost

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_content_is_read_or_refused(content: bytes) -> None:
    for unpack in (kept, lost):
        with pytest.raises(UnreadableError):
            unpack(content)


@given(st.sampled_from(["DDBStreamBatchInfo", "requestContext", "payload"]), JSON)
def test_a_broken_batch_is_read_or_refused(member: str, value: Any) -> None:
    with pytest.raises((UnreadableError, ForeignError)):
        lost(discarded_body(put(1, "a"), **{member: value}))


@given(JSON)
def test_any_record_counts_with_or_without_its_key(record: Any) -> None:
    unpacked = kept(body(record))

    assert len(unpacked.keys) + unpacked.keyless == 1
