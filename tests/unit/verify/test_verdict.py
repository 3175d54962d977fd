"""verdict: the result of a verification, as text and as a JSON document."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from ddbreplica.records.compare import AttributeDifference
from ddbreplica.verify.difference import CERTAIN, EVERYTHING, Difference, DifferenceKind, Swept
from ddbreplica.verify.result.findings import REPAIRED, Findings, read_difference
from ddbreplica.verify.result.verdict import Verified


def verified(
    *differences: Difference,
    keep: int = 10,
    stopped_early: bool = False,
    repair: str | None = None,
    looked_at: str = EVERYTHING,
    outside: int = 0,
    **more: Any,
) -> Verified:
    findings = Findings(keep)
    for difference in differences:
        findings.add(difference, repair if difference.finding in CERTAIN else None)
    swept = Swept(2000, 1999, source_outside=outside)
    return Verified(
        "logfile",
        "copy",
        looked_at,
        swept,
        findings,
        repair is not None,
        1.234,
        began="2026-11-29T12:00:00+00:00",
        stopped_early=stopped_early,
        **more,
    )


def found(finding: DifferenceKind, name: str = "a", *attributes: AttributeDifference) -> Difference:
    return Difference(finding, (("PK", "S", name),), attributes)


MISSING = found(DifferenceKind.MISSING)
OPEN = found(DifferenceKind.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (verified(), "equal"),
        (verified(MISSING), "not equal"),
        (verified(found(DifferenceKind.EXTRA)), "not equal"),
        (verified(found(DifferenceKind.DIFFERENT)), "not equal"),
        (verified(OPEN), "inconclusive"),
        (verified(found(DifferenceKind.ARCHIVED)), "equal"),
        (verified(found(DifferenceKind.MOVING)), "equal"),
        (verified(found(DifferenceKind.ARCHIVED), MISSING, repair=REPAIRED), "repaired"),
        (verified(OPEN, MISSING), "not equal"),
        (verified(stopped_early=True), "inconclusive"),
        (verified(MISSING, stopped_early=True), "not equal"),
        (verified(MISSING, keep=0), "not equal"),
        (verified(MISSING, repair=REPAIRED), "repaired"),
        (verified(MISSING, repair="refused: why"), "not equal"),
        (verified(MISSING, OPEN, repair=REPAIRED), "inconclusive"),
        (verified(MISSING, repair=REPAIRED, stopped_early=True), "inconclusive"),
        (verified(repair=REPAIRED), "equal"),
        (verified(transform="digest"), "equal"),
        (verified(transform="digest", transform_changed=True), "inconclusive"),
        (verified(MISSING, transform="digest", transform_changed=True), "inconclusive"),
    ],
)
def test_equal_means_that_all_items_were_compared_and_none_is_open(result: Verified, verdict: str) -> None:
    assert result.verdict == verdict
    assert result.document()["verdict"] == verdict


def test_without_values_the_outcome_of_a_repair_has_no_message() -> None:
    findings = Findings(10, without_values=True)

    findings.add(MISSING, "refused: ValidationException: the value SECRET: is too long")
    findings.add(MISSING, REPAIRED)

    assert [repair for _, repair in findings.first] == ["refused: ValidationException", REPAIRED]


def test_the_result_of_equal_tables_is_a_table_of_counts() -> None:
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


def test_a_transform_is_shown_by_its_first_digits_and_a_change_of_it_before_the_verdict() -> None:
    text = verified(transform="0123456789abcdef", transform_changed=True).text().split("\n")

    assert text[:3] == ["source         logfile", "replica        copy", "transform      0123456789ab"]
    assert text[-3:] == [
        "The function's transform was changed meanwhile, so that nothing is known. Verify again.",
        "",
        "inconclusive",
    ]
    assert not any("changed" in line for line in verified(transform="digest").text().split("\n"))


def test_differences_are_shown_attribute_by_attribute() -> None:
    different = found(
        DifferenceKind.DIFFERENT,
        "b",
        AttributeDifference("n", {"N": "1"}, {"S": "1"}),
        AttributeDifference("x\n", {"S": "line\nbreak"}, None),
        AttributeDifference("y", None, {"S": "é" * 100}),
    )

    result = verified(
        MISSING, different, found(DifferenceKind.EXTRA, "c"), found(DifferenceKind.INCONCLUSIVE, "d")
    )

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
               replica  {{"S": "{"é" * 35}… (109 characters)
extra        PK={{"S": "c"}}  (in the replica only)
inconclusive PK={{"S": "d"}}

NOT EQUAL"""
    )


def test_differences_beyond_the_limit_are_counted() -> None:
    result = verified(MISSING, MISSING, MISSING, keep=1)

    assert "and 2 more" in result.text().splitlines()
    assert len(result.document()["differences"]) == 1
    assert result.findings.counts == Counter({DifferenceKind.MISSING: 3})


def test_the_document_contains_whole_values() -> None:
    long = {"S": "x" * 1000}
    result = verified(found(DifferenceKind.DIFFERENT, "a", AttributeDifference("n", long, None)))

    assert result.document() == {
        "verdict": "not equal",
        "source": "logfile",
        "replica": "copy",
        "looked_at": "everything",
        "began": "2026-11-29T12:00:00+00:00",
        "source_items": 2000,
        "replica_items": 1999,
        "missing": 0,
        "different": 1,
        "extra": 0,
        "inconclusive": 0,
        "archived": 0,
        "moving": 0,
        "source_outside": 0,
        "replica_outside": 0,
        "in_doubt": 0,
        "confirmed_by": None,
        "lag_seconds": None,
        "transform": None,
        "transform_changed": False,
        "seconds": 1.234,
        "stopped_early": False,
        "differences": [
            {
                "finding": "different",
                "key": {"PK": {"S": "a"}},
                "attributes": [{"name": "n", "source": long, "replica": None}],
            }
        ],
        "archived_items": [],
    }


def test_archived_items_are_counted_and_are_not_differences() -> None:
    result = verified(
        found(DifferenceKind.ARCHIVED, "a"), found(DifferenceKind.ARCHIVED, "b"), MISSING, keep=1
    )

    assert result.document()["archived"] == 2
    assert result.document()["archived_items"] == [{"PK": {"S": "a"}}]
    assert result.text().splitlines()[4:] == [
        "missing                   1",
        "different                 0",
        "extra                     0",
        "inconclusive              0",
        "archived                  2",
        "seconds                1.23",
        "",
        'missing      PK={"S": "a"}  (in the source only)',
        "",
        "NOT EQUAL",
    ]


def test_excluded_items_are_counted_and_shown_with_the_verdict() -> None:
    result = verified(looked_at="everything within the filter", outside=7)

    assert result.text().splitlines()[8:] == [
        "inconclusive              0",
        "source excluded           7",
        "seconds                1.23",
        "",
        "equal (everything within the filter)",
    ]


def test_the_outcome_of_a_repair_follows_the_difference() -> None:
    result = verified(MISSING, repair=REPAIRED)

    assert result.text().splitlines()[7:] == [
        "inconclusive              0",
        "repaired                  1",
        "seconds                1.23",
        "",
        'missing      PK={"S": "a"}  (in the source only): repaired',
        "",
        "repaired",
    ]
    assert result.document()["repaired"] == 1
    assert result.document()["differences"][0]["repair"] == "repaired"


def test_a_verdict_on_a_sample_is_marked_as_such() -> None:
    result = verified(looked_at="a sample of 0.1")

    assert result.text().splitlines()[2] == "compared       a sample of 0.1"
    assert result.text().splitlines()[-1] == "equal (a sample of 0.1)"
    assert result.document()["looked_at"] == "a sample of 0.1"


def test_one_remaining_difference_is_not_equal() -> None:
    findings = Findings(10)
    findings.add(MISSING, REPAIRED)
    findings.add(MISSING, "refused: why")

    assert (
        Verified("logfile", "copy", EVERYTHING, Swept(), findings, True, 1.0, began="").verdict == "not equal"
    )


def test_moving_items_are_counted_and_are_not_shown_as_differences() -> None:
    result = verified(found(DifferenceKind.MOVING), MISSING)

    assert result.document()["moving"] == 1
    assert [difference["finding"] for difference in result.document()["differences"]] == ["missing"]
    assert "moving                    1" in result.text().splitlines()
    assert not any("more" in line for line in result.text().splitlines())


def test_an_inconclusive_item_is_shown_with_its_reason() -> None:
    late = Difference(DifferenceKind.INCONCLUSIVE, (("PK", "S", "a"),), reason="the lag is 200 seconds")
    result = verified(late, OPEN)

    shown = result.text().splitlines()
    assert 'inconclusive PK={"S": "a"}  (the lag is 200 seconds)' in shown
    assert 'inconclusive PK={"S": "a"}' in shown
    assert [each.get("reason") for each in result.document()["differences"]] == [
        "the lag is 200 seconds",
        None,
    ]


def test_the_result_says_that_looks_decided_alone() -> None:
    result = replace(verified(MISSING), confirmed_by="looks")

    assert "confirmed      by looks" in result.text().splitlines()
    assert "by looks" not in replace(result, confirmed_by="stream").text()


@pytest.mark.parametrize("without_values", [False, True])
@pytest.mark.parametrize(
    "difference",
    [
        found(DifferenceKind.MISSING),
        found(DifferenceKind.DIFFERENT, "a", AttributeDifference("x", {"N": "1"}, None)),
        replace(found(DifferenceKind.INCONCLUSIVE), reason="still changing"),
        found(DifferenceKind.MOVING),
        found(DifferenceKind.ARCHIVED),
    ],
)
def test_a_difference_is_read_from_its_document(difference: Difference, without_values: bool) -> None:
    findings = Findings(1, without_values=without_values)
    document = json.loads(json.dumps(findings.as_document(difference, None)))

    read = read_difference(document)

    assert findings.as_document(read, None) == document
    assert without_values or read == difference
