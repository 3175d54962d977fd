"""status_fleet_screen: the status of all replications of a Region, as a JSON document and as text."""

from dataclasses import replace
from typing import Any

from ddbreplica.aws.request import Unknown
from ddbreplica.inspect.facts import Depth, Facts, UnseenTable
from ddbreplica.inspect.fleet import Fleet, Line, worst_lines_first
from ddbreplica.inspect.health import Finding, Severity, examine
from ddbreplica_cli.runs.status_fleet_screen import fleet_document, fleet_screen
from tests.support.facts import MAPPING, OPTIONS, REPLICA, TABLE, facts, figures, verification

FUNCTION = MAPPING.function_arn
BUSY = figures(IteratorAge=[(2, 400)], WritesApplied=[(40, 1000), (2, 234)], DeletesApplied=[(2, 5)])
WHY = Unknown("AccessDenied: no")


def line(seen: Facts, *, source: str | None = "logfile", replica: str = f"{TABLE}logfile_replica") -> Line:
    findings = examine(seen, OPTIONS)
    return Line(FUNCTION, source and TABLE + source, replica, seen, findings, "`ddbreplica status …`")


def fleet(*lines: Line) -> Fleet:
    return Fleet("us-east-1", worst_lines_first(lines))


def shown(*lines: Line) -> list[str]:
    return fleet_screen(fleet(*lines)).split("\n")


def unseen(**mappings: Any) -> Facts:
    table = UnseenTable(WHY.why, "copy")
    return Facts(table, table, **mappings, figures=WHY, quarantine=WHY, on_failure=WHY, verification=WHY)


def test_a_healthy_pair_is_one_line() -> None:
    many = Depth("s3://kept/", 10_000, or_more=True, oldest=1.0)
    well = line(facts(figures=BUSY))
    idle = line(facts(), replica="arn:aws:dynamodb:eu-west-1:123456789012:table/orders", source="orders")

    assert shown(well, idle) == [
        (
            "verdict      source → replica              mapping    lag  applied in 1 h  quarantine  on failure"
            "  last verified  written since"
        ),
        "replicating  logfile → logfile_replica     Enabled  0.4 s           1,239           0           0  never",
        "replicating  orders → orders in eu-west-1  Enabled   idle               0           0           0  never",
        "",
        "us-east-1: 2 replicating.",
        "",
        "replicating",
    ]
    assert "  10,000+" in shown(line(facts(quarantine=many)))[1]


def test_a_pair_has_its_last_verification_and_what_was_written_since() -> None:
    last = verification(verdict="not equal", differences={"missing": 2})
    unseen = replace(last, written=WHY)
    earlier = replace(last, recreated=("logfile",), written=None)

    rows = [
        row.partition("           0  ")[2].partition("           0  ")[2]
        for each in (verification(), last, unseen, earlier)
        for row in shown(line(facts(verification=each)))[1:2]
    ]

    assert rows == [
        "equal 3.0 h ago, 2,000 items    1,234 units",
        "NOT EQUAL 3.0 h ago, 2,000 items    1,234 units",
        "NOT EQUAL 3.0 h ago, 2,000 items              ?",
        "an earlier table",
    ]


def test_metrics_that_a_function_did_not_emit_are_unknown() -> None:
    silent = line(facts(figures=figures(IteratorAge=[(2, 400)])))

    assert shown(silent)[1] == (
        "replicating  logfile → logfile_replica  Enabled  0.4 s               ?           0           0  never"
    )


def test_the_worst_pair_is_first_with_its_problem_and_what_to_run() -> None:
    stopped = line(facts(mappings=(replace(MAPPING, state="Disabled"),)), replica=f"{TABLE}z")
    waiting = Depth("s3://kept/", 2, or_more=False, oldest=1.0)
    trouble = line(facts(quarantine=waiting, replica=replace(REPLICA, ttl="expires")), replica=f"{TABLE}y")
    blind = line(unseen(mappings=WHY), source=None, replica="x")
    partly = line(facts(replica=UnseenTable(WHY.why, "w"), on_failure=WHY), replica=f"{TABLE}w")

    assert shown(line(facts()), partly, blind, trouble, stopped) == [
        (
            "verdict          source → replica           mapping    lag  applied in 1 h  quarantine  on failure"
            "  last verified  written since"
        ),
        "NOT REPLICATING  logfile → z                Disabled  idle               0           0           0  never",
        "    the event source mapping is Disabled (USER_INITIATED)",
        "NEEDS ATTENTION  logfile → y                Enabled   idle               0           2           0  never",
        (
            "    the replica logfile_replica has TTL enabled on the attribute expires, so it deletes items that the"
            " source has (and 1 more)"
        ),
        (
            "UNKNOWN          ? → x                      ?            ?               ?           ?           ?"
            "  ?                          ?"
        ),
        (
            "    unknown: the source, the replica, the mapping, CloudWatch's metrics, the quarantine bucket, the"
            " on-failure bucket, the last verification (AccessDenied: no)"
        ),
        "replicating      logfile → w                Enabled   idle               0           0           ?  never",
        "    unknown: the replica, the on-failure bucket (AccessDenied: no)",
        "replicating      logfile → logfile_replica  Enabled   idle               0           0           0  never",
        "",
        (
            "us-east-1: 1 not replicating; 1 needs attention; 1 unknown; 1 replicating, as far as can be seen;"
            " 1 replicating."
        ),
        "  Try: `ddbreplica status …`.",
        "",
        "NOT REPLICATING",
    ]


def test_notes_are_shown_by_the_status_of_the_pair_only() -> None:
    creating = facts(replica=replace(REPLICA, indexes={"GSI_1": "CREATING"}))

    assert shown(line(creating))[2] == ""


def test_a_problem_is_not_repeated_as_unknown() -> None:
    nothing = (Finding(Severity.STOPPED, WHY.why, "deploy"),)

    assert shown(replace(line(unseen(mappings=())), findings=nothing))[1:4] == [
        (
            "NOT REPLICATING  logfile → logfile_replica  none       ?               ?           ?           ?"
            "  ?                          ?"
        ),
        "    AccessDenied: no",
        "",
    ]


def test_each_reason_has_a_line() -> None:
    lines = shown(line(facts(figures=WHY, quarantine=Unknown("no bucket"))))

    assert lines[2:4] == [
        "    unknown: CloudWatch's metrics (AccessDenied: no)",
        "    unknown: the quarantine bucket (no bucket)",
    ]


def test_a_name_cannot_control_the_terminal() -> None:
    assert "\x1b" not in fleet_screen(fleet(line(unseen(mappings=WHY), source=None, replica="a\x1b[2J")))


def test_a_document_contains_the_status_of_each_pair() -> None:
    made = fleet_document(fleet(line(facts()), line(unseen(mappings=WHY), source=None, replica="x")))

    assert (made["verdict"], made["region"]) == ("unknown", "us-east-1")
    blind, well = made["pairs"]
    assert blind["pair"] == {"source": None, "replica": "x", "function": FUNCTION}
    assert (blind["verdict"], blind["source"], blind["mappings"]) == ("unknown", None, None)
    assert blind["unknown"]["the mapping"] == "AccessDenied: no"
    assert well["pair"]["source"] == f"{TABLE}logfile"
    assert (well["verdict"], well["try"]) == ("replicating", "`ddbreplica status …`")
    assert well["source"]["table"] == "logfile"
