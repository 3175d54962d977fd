"""verdict: what a verification found, for a reader and for a program."""

from collections import Counter

import pytest

from ddbreplica_cli.compare import AttributeDifference
from ddbreplica_cli.recheck import Difference, Finding, Findings
from ddbreplica_cli.sweep import Swept
from ddbreplica_cli.verdict import Verified


def verified(*differences: Difference, keep: int = 10, stopped_early: bool = False) -> Verified:
    findings = Findings(keep)
    for difference in differences:
        findings.add(difference)
    return Verified("logfile", "copy", Swept(2000, 1999, {}, stopped_early), findings, 1.234)


def found(finding: Finding, name: str = "a", *attributes: AttributeDifference) -> Difference:
    return Difference(finding, {"PK": {"S": name}}, attributes)


MISSING = found(Finding.MISSING)
OPEN = found(Finding.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (verified(), "equal"),
        (verified(MISSING), "not equal"),
        (verified(found(Finding.EXTRA)), "not equal"),
        (verified(found(Finding.DIFFERENT)), "not equal"),
        (verified(OPEN), "inconclusive"),
        (verified(OPEN, MISSING), "not equal"),
        (verified(stopped_early=True), "inconclusive"),
        (verified(MISSING, stopped_early=True), "not equal"),
        (verified(MISSING, keep=0), "not equal"),
    ],
)
def test_equal_means_that_everything_was_looked_at_and_nothing_is_open(
    result: Verified, verdict: str
) -> None:
    assert result.verdict == verdict
    assert result.document()["verdict"] == verdict


def test_equal_tables_read_as_a_table_of_counts() -> None:
    assert (
        verified().text()
        == """\
source         logfile
replica        copy
source items          2,000
replica items         1,999
missing                   0
different                 0
extra                     0
inconclusive              0
seconds                1.23

equal"""
    )


def test_differences_are_shown_attribute_by_attribute() -> None:
    different = found(
        Finding.DIFFERENT,
        "b",
        AttributeDifference("n", {"N": "1"}, {"S": "1"}),
        AttributeDifference("x\n", {"S": "line\nbreak"}, None),
        AttributeDifference("y", None, {"S": "é" * 100}),
    )

    result = verified(MISSING, different, found(Finding.EXTRA, "c"), found(Finding.INCONCLUSIVE, "d"))

    assert (
        result.text().partition("\n\n")[2]
        == f"""\
missing      PK={{"S": "a"}}  (in the source only)
different    PK={{"S": "b"}}
             "n"
               source   {{"N": "1"}}
               replica  {{"S": "1"}}
             "x\\n"
               source   {{"S": "line\\nbreak"}}
               replica  (absent)
             "y"
               source   (absent)
               replica  {{"S": "{"é" * 53}… (109 characters)
extra        PK={{"S": "c"}}  (in the replica only)
inconclusive PK={{"S": "d"}}

NOT EQUAL"""
    )


def test_what_is_not_shown_is_counted() -> None:
    result = verified(MISSING, MISSING, MISSING, keep=1)

    assert "and 2 more" in result.text().splitlines()
    assert len(result.document()["differences"]) == 1
    assert result.findings.counts == Counter({Finding.MISSING: 3})


def test_a_program_gets_whole_values() -> None:
    long = {"S": "x" * 1000}
    result = verified(found(Finding.DIFFERENT, "a", AttributeDifference("n", long, None)))

    assert result.document() == {
        "verdict": "not equal",
        "source": "logfile",
        "replica": "copy",
        "source_items": 2000,
        "replica_items": 1999,
        "missing": 0,
        "different": 1,
        "extra": 0,
        "inconclusive": 0,
        "seconds": 1.234,
        "stopped_early": False,
        "differences": [
            {
                "finding": "different",
                "key": {"PK": {"S": "a"}},
                "attributes": [{"name": "n", "source": long, "replica": None}],
            }
        ],
    }
