"""export: any bytes that are not a file of an export raise DamagedError and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backfill.test_export import is_ended, lines, names, packed, read

WHOLE = packed(lines(*map(str, range(20))))


@settings(deadline=None)
@given(st.binary() | st.integers(0, len(WHOLE) - 1).map(lambda end: WHOLE[:end]))
def test_any_other_bytes_raise_damaged_error_before_a_last_page(body: bytes) -> None:
    pages, error = read(body, of=20)

    assert error.startswith("is damaged: ")
    assert not is_ended(pages)


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_noticed_or_has_no_effect(place: int, change: int) -> None:
    """Some bytes of a gzip header have no meaning; every other change is noticed."""
    body = bytearray(WHOLE)
    body[place] ^= change

    pages, error = read(bytes(body), of=20)

    assert error or names(pages) == [str(number) for number in range(20)]
