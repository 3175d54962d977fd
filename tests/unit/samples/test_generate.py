"""generate: generated rows are the same every time."""

import io
from collections import Counter
from itertools import islice

from ddbreplica_cli.samples import logfile
from ddbreplica_cli.samples.generate import rows
from tests.support.modules import ROOT

DATA = ROOT / "data" / "logfile_stream.csv"


def test_the_first_rows_are_these() -> None:
    first, second = islice(rows(), 2)

    assert first[:9] == (
        "1",
        "192.0.2.17",
        "2017-07-20",
        "00",
        "GMT-0700",
        "GET",
        "/søk?q=blåbærsyltetøy&side=13",
        "304",
        "0",
    )
    assert second[:4] == ("2", "192.0.2.1", "2017-07-20", "00")


def test_the_file_in_data_is_the_generated_one() -> None:
    file = io.StringIO(newline="")
    logfile.write(islice(rows(), 2000), file)

    assert DATA.read_bytes().decode() == file.getvalue()


def test_every_row_can_be_loaded_and_has_a_key_of_its_own() -> None:
    made = [logfile.item(row) for row in islice(rows(), 2000)]

    assert len({item["PK"]["S"] for item in made}) == 2000


def test_an_index_query_for_a_host_finds_many_rows() -> None:
    hosts = Counter(row[1] for row in islice(rows(), 2000))

    assert 20 <= len(hosts) <= 40
    assert hosts.most_common(1)[0][1] >= 100


def test_about_two_in_a_hundred_are_server_errors() -> None:
    codes = Counter(row[7] for row in islice(rows(), 2000))

    assert 30 <= codes["500"] <= 50


def test_some_rows_are_hard_to_read() -> None:
    made = list(islice(rows(), 200))

    assert any(not row[6].isascii() for row in made)
    assert any("," in row[6] for row in made)
    assert any('"' in row[9] and "," in row[9] for row in made)
    assert any(row[9] == "" for row in made)


def test_time_goes_on() -> None:
    moments = [(row[2], row[3]) for row in islice(rows(), 2000)]

    assert moments == sorted(moments)
    assert moments[-1] == ("2017-07-21", "01")
